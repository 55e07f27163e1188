"""No spelling of a path gets past keys and limits: they go by the route that a request reaches."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from ocrvl_gateway.middleware.access import METADATA_ROUTES, PUBLIC_ROUTES
from ocrvl_gateway.middleware.proxies import trust_proxies
from ocrvl_gateway.protocol import BoundedProtocol
from tests.support.doubles import WAIT_SECONDS, wait_until
from tests.support.gateways import IMAGE, GatewayClient, ScriptedReader, make_app, serve_app

KEY = "a-key-of-some-length"
KEYED = {"Authorization": f"Bearer {KEY}"}
INFERENCE_ROUTES = {
    "/v1/chat/completions",
    "/chat/completions",
    "/layout-parsing",
    "/receipts",
    "/restructure-pages",
    "/api/document",
}
PATHS = sorted(
    path.replace("{model}", "m") for path in {*INFERENCE_ROUTES, *METADATA_ROUTES, *PUBLIC_ROUTES, "/static/app.js"}
)

ENDS = (
    *("", "/", "//", "/.", "/..", "/x", "?", "?x=1", "#x", ";x", ";/healthz", "%3Fx", "%23", "%2F", "%2f..%2fhealthz"),
    *("%0A", "%0a%0a", "%0D", "%0D%0A", "%00", "%09", "%0B", "%0C", "%1C", "%1F", "%20", "%7F", "%85", "%C2%85"),
    *("%E2%80%A8", "%E2%80%A9", "%FF", "%25", "%250A", "%2e", "%5C", "%c0%af", ".json", "*", "~"),
)


def spellings(path: str) -> Iterator[str]:
    """Request targets that a proxy or a router might take for `path`."""
    yield from (path + end for end in ENDS)
    yield from (path.upper(), path.title(), "/" + path, "/." + path, "/healthz/.." + path, "/static/.." + path)
    yield from ("/static/%2e%2e" + path, "/%2e%2e" + path, "/%0A" + path, path.replace("/", "%2F"), "%2F" + path[1:])
    yield from ("/" + "".join(f"%{ord(letter):02x}" for letter in path[1:]), path[1:] or "x", path.replace("/", "\\"))
    yield from (f"http://gateway{path}", f"http://gateway/{path}", f"HTTPS://healthz{path}%0A", f"//healthz{path}")


def answers(url: str, headers: dict[str, str]) -> Iterator[tuple[str, str, int]]:
    """Each spelling of each path by GET and by POST over one connection: method, target, status."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=WAIT_SECONDS)
    for path in PATHS:
        for target in spellings(path):
            for method, body in (("GET", None), ("POST", b"{}")):
                connection.request(method, target, body, {"Content-Type": "application/json", **headers})
                answer = connection.getresponse()
                answer.read()
                yield method, target, answer.status
    connection.close()


def path_of(target: str) -> str:
    """The path of a request target."""
    return unquote(urlsplit(target).path)


def is_public(target: str) -> bool:
    """Whether its route needs no key."""
    return path_of(target) in PUBLIC_ROUTES or path_of(target).startswith("/static/")


def is_metadata(target: str) -> bool:
    """Whether its route asks nothing of the server."""
    return path_of(target) in METADATA_ROUTES or path_of(target).startswith(("/v1/models/", "/models/"))


@pytest.mark.parametrize("implementation", [BoundedProtocol, "h11"])
def test_without_a_key_only_public_routes_are_answered_however_a_path_is_spelled(implementation: Any) -> None:
    reader = ScriptedReader()
    with serve_app(make_app(reader, api_keys=[KEY]), http=implementation) as url:
        passed = [(target, status) for _, target, status in answers(url, {}) if status not in (400, 401, 404)]
    assert not reader.requests
    assert not [found for found in passed if not is_public(found[0])]
    # and those are answered: the matrix reaches the application
    read = {path_of(target) for target, status in passed if status == 200}
    assert read >= {*PUBLIC_ROUTES, "/static/app.js"} - {"/static"}


@pytest.mark.parametrize(("settings", "refusal"), [({"rate_limit": 1}, 429), ({"max_in_flight": 1}, 503)])
def test_no_spelling_of_an_inference_path_gets_past_a_limit(settings: dict[str, Any], refusal: int) -> None:
    reader = ScriptedReader()
    reader.hangs = "max_in_flight" in settings
    with serve_app(make_app(reader, api_keys=[KEY], **settings)) as url, first_request(url, reader):
        seen = [(target, status) for _, target, status in answers(url, KEYED) if status not in (refusal, 400, 404)]
    assert len(reader.requests) == 1
    assert not [found for found in seen if not is_public(found[0]) and not is_metadata(found[0])]
    assert ("/v1/models", 200) in seen


@contextlib.contextmanager
def first_request(url: str, reader: ScriptedReader) -> Iterator[None]:
    """A request that is answered, or stays in flight where the reader hangs."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=WAIT_SECONDS)
    connection.request("POST", "/api/document", IMAGE, KEYED)
    wait_until(lambda: reader.requests)
    yield
    connection.close()


def test_a_route_that_is_not_listed_needs_a_key_and_has_limits() -> None:
    app = make_app(ScriptedReader(), api_keys=[KEY], rate_limit=1)

    @app.get("/new")
    async def new() -> str:
        return "done"

    client = GatewayClient(app)
    assert client.get("/new").status_code == 401
    assert [client.get("/new", headers=KEYED).status_code for _ in range(2)] == [200, 429]


def test_the_lists_of_routes_name_those_of_the_application_alone() -> None:
    routes: list[Any] = make_app(ScriptedReader()).router.routes
    assert {route.path for route in routes} == PUBLIC_ROUTES | METADATA_ROUTES | INFERENCE_ROUTES


@pytest.mark.parametrize("path", ["/layout-parsing%0A", "/layout-parsing/", "/x//layout-parsing", "/made/up"])
def test_a_path_without_a_route_is_not_found_with_or_without_a_key(path: str) -> None:
    reader = ScriptedReader()
    answer = GatewayClient(make_app(reader, api_keys=[KEY])).post(path, json={"file": "AAAA"}, headers=KEYED)
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "not_found"
    assert not reader.requests


@pytest.mark.parametrize("spelling", ["/layout-parsing", "/%6cayout-parsing"])
def test_an_error_has_the_form_of_the_route_however_its_path_was_spelled(spelling: str) -> None:
    client = GatewayClient(make_app(ScriptedReader(), api_keys=[KEY]))
    assert client.post(spelling, json={}).json()["errorCode"] == 401
    assert client.post(spelling, json={}, headers=KEYED).json()["errorCode"] == 422
    assert client.request("GET", spelling, headers=KEYED).json()["errorCode"] == 405


def test_what_is_not_http_is_closed() -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    scope = {"type": "websocket", "path": "/healthz", "headers": [], "query_string": b"", "root_path": ""}
    asyncio.run(make_app(ScriptedReader())(scope, receive, send))
    assert [message["type"] for message in sent] == ["websocket.close"]


@pytest.mark.parametrize(
    ("trusted", "forwarded", "client"),
    [
        ("127.0.0.1", [], "127.0.0.1"),
        ("10.0.0.1", ["1.1.1.1"], "127.0.0.1"),
        ("127.0.0.1", ["6.6.6.6, 1.1.1.1"], "1.1.1.1"),
        ("127.0.0.0/8,10.0.0.0/8", ["6.6.6.6, 1.1.1.1", "10.0.0.9"], "1.1.1.1"),
        ("*", ["6.6.6.6, 1.1.1.1"], "1.1.1.1"),
        ("*", ["6.6.6.6", "1.1.1.1"], "1.1.1.1"),
        ("*", [], "127.0.0.1"),
    ],
)
def test_the_client_behind_proxies_is_the_last_address_that_is_not_a_proxy(
    trusted: str, forwarded: list[str], client: str
) -> None:
    seen: list[Any] = []

    async def app(scope: Any, _receive: Any, _send: Any) -> None:
        seen.append(scope["client"][0])

    async def nothing(*_: Any) -> Any:
        raise AssertionError

    headers = [(b"x-forwarded-for", value.encode()) for value in forwarded]
    scope = {"type": "http", "client": ("127.0.0.1", 1), "scheme": "http", "headers": headers}

    async def run() -> None:
        await trust_proxies(app, trusted)(scope, nothing, nothing)

    asyncio.run(run())
    assert seen == [client]
