"""The request guard: API keys, rate limits, requests in flight, lengths of bodies, and metrics."""

from __future__ import annotations

import asyncio
import hashlib
import socket
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.doubles import until, wait_until
from tests.support.gateways import IMAGE, GatewayClient, ScriptedReader, chat, make_app, serve_app

CHAT = "/v1/chat/completions"
KEY = "a-key-of-some-length"
OTHER = "another-key-of-some-length"
HASHED = "sha256:" + hashlib.sha256(OTHER.encode()).hexdigest()


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def series(client: GatewayClient, name: str, **labels: str) -> float:
    """The sum of a series in the gateway's metrics."""
    families = text_string_to_metric_families(client.get("/metrics").text)
    samples = [sample for family in families for sample in family.samples if sample.name == name]
    return sum(sample.value for sample in samples if labels.items() <= sample.labels.items())


@pytest.mark.parametrize("key", [KEY, OTHER])
def test_a_known_key_is_accepted_and_may_be_configured_as_a_hash(key: str) -> None:
    client = GatewayClient(make_app(ScriptedReader(), api_keys=[KEY, HASHED]))
    assert client.post(CHAT, json=chat(), headers=bearer(key)).status_code == 200
    assert client.get("/v1/models", headers=bearer(key)).status_code == 200


@pytest.mark.parametrize("headers", [{}, bearer("wrong"), bearer(HASHED), {"Authorization": KEY}, bearer("kéy")])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", CHAT),
        ("GET", "/v1/models"),
        ("POST", "/layout-parsing"),
        ("POST", "/restructure-pages"),
        ("POST", "/api/document"),
    ],
)
def test_without_a_known_key_nothing_is_read(method: str, path: str, headers: dict[str, str]) -> None:
    reader = ScriptedReader()
    client = GatewayClient(make_app(reader, api_keys=[KEY, HASHED]))
    encoded = {name: value.encode("utf-8") for name, value in headers.items()}
    answer = client.request(method, path, headers=encoded, content=b"{}")
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    body = answer.json()
    assert body["errorCode"] == 401 if "errorCode" in body else body["error"]["code"] == "invalid_api_key"
    assert not reader.requests


@pytest.mark.parametrize("path", ["/healthz", "/health", "/readyz", "/metrics", "/", "/static/app.js"])
def test_health_metrics_and_the_page_need_no_key(path: str) -> None:
    assert GatewayClient(make_app(ScriptedReader(), api_keys=[KEY])).get(path).status_code == 200


def test_a_client_above_its_rate_limit_gets_a_retry_after() -> None:
    client = GatewayClient(make_app(ScriptedReader(), api_keys=[KEY, OTHER], rate_limit=2))
    statuses = [client.post(CHAT, json=chat(), headers=bearer(KEY)).status_code for _ in range(2)]
    refused = client.post(CHAT, json=chat(), headers=bearer(KEY))
    assert [*statuses, refused.status_code] == [200, 200, 429]
    assert 1 <= int(refused.headers["retry-after"]) <= 30
    # other clients are not limited by it, and metadata is not counted
    assert client.post(CHAT, json=chat(), headers=bearer(OTHER)).status_code == 200
    assert client.get("/v1/models", headers=bearer(KEY)).status_code == 200
    assert series(client, "ocrvl_gateway_refusals_total", reason="rate_limit_exceeded") == 1


def test_a_body_whose_content_length_is_too_large_is_not_read() -> None:
    reader = ScriptedReader()
    answer = GatewayClient(make_app(reader, max_body_bytes=1000)).post("/api/document", content=bytes(1001))
    assert answer.status_code == 413
    assert answer.headers["connection"] == "close"
    assert "1000 bytes" in answer.json()["error"]["message"]
    assert not reader.requests


@pytest.mark.parametrize(("path", "field"), [(CHAT, "error"), ("/layout-parsing", "errorCode")])
def test_a_body_without_a_content_length_is_cut_off_while_it_is_read(path: str, field: str) -> None:
    sent = 0

    async def endless() -> Any:
        nonlocal sent
        while sent < 100_000:
            sent += 100
            yield bytes(100)

    answer = GatewayClient(make_app(ScriptedReader(), max_body_bytes=1000)).post(
        path, content=endless(), headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 413
    assert field in answer.json()
    assert sent <= 1200


@pytest.fixture
def busy() -> Iterator[tuple[ScriptedReader, str]]:
    """A gateway on a port whose reader never answers."""
    reader = ScriptedReader()
    reader.hangs = True
    with serve_app(make_app(reader, max_in_flight=1)) as url:
        yield reader, url


@pytest.mark.parametrize("path", [CHAT, "/layout-parsing", "/api/document"])
@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_disconnects_cancels_its_request(
    path: str, stream: bool, busy: tuple[ScriptedReader, str]
) -> None:
    reader, url = busy
    body: dict[str, Any] = {"content": IMAGE}
    if path == CHAT:
        body = {"json": chat(stream=stream)}
    elif path == "/layout-parsing":
        body = {"json": {"file": "AAAA"}}

    async def leave() -> None:
        async with httpx.AsyncClient() as client:
            task = asyncio.create_task(client.post(url + path, **body))
            await until(lambda: reader.requests)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    asyncio.run(leave())
    wait_until(lambda: reader.cancelled == 1)


def test_a_stream_whose_client_disconnects_is_closed() -> None:
    closed: list[bool] = []

    class Endless(ScriptedReader):
        async def stream(self, *arguments: Any, **named: Any) -> Any:
            try:
                while True:
                    yield "more "
                    await asyncio.sleep(0.005)
            finally:
                closed.append(True)

    with serve_app(make_app(Endless())) as url, httpx.Client() as client:
        with client.stream("POST", url + CHAT, json=chat(stream=True)) as answer:
            assert next(answer.iter_bytes())
        wait_until(lambda: closed)


def test_more_than_max_in_flight_are_refused_at_once(busy: tuple[ScriptedReader, str]) -> None:
    reader, url = busy

    async def two() -> httpx.Response:
        async with httpx.AsyncClient() as client:
            first = asyncio.create_task(client.post(url + CHAT, json=chat()))
            await until(lambda: reader.requests)
            second = await client.post(url + CHAT, json=chat())
            first.cancel()
            await asyncio.gather(first, return_exceptions=True)
            return second

    refused = asyncio.run(two())
    assert refused.status_code == 503
    assert refused.headers["retry-after"] == "1"
    assert len(reader.requests) == 1
    # another is taken when the first has ended
    reader.hangs = False
    wait_until(lambda: httpx.post(url + CHAT, json=chat()).status_code == 200)


def test_an_answer_that_takes_too_long_is_a_gateway_timeout() -> None:
    reader = ScriptedReader()
    reader.hangs = True
    settings: dict[str, Any] = {"timeout": 0.1, "document_timeout": 0.1, "restructure_timeout": 0.1}
    answer = GatewayClient(make_app(reader, **settings)).post(CHAT, json=chat())
    assert (answer.status_code, answer.json()["error"]["code"]) == (504, "timeout")
    assert reader.cancelled == len(reader.requests)


def test_an_oversized_body_on_a_real_connection_ends_it() -> None:
    with serve_app(make_app(ScriptedReader(), max_body_bytes=1000)) as url:
        host, _, port = url.removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port)), timeout=20) as connection:
            head = "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            connection.sendall(f"{head}Content-Length: 1000000000\r\n\r\n".encode() + bytes(10))
            answer = b""
            while received := connection.recv(4096):
                answer += received
    assert answer.startswith(b"HTTP/1.1 413")


def test_requests_are_counted_by_route_and_status_and_not_by_path() -> None:
    client = GatewayClient(make_app(ScriptedReader()))
    client.post(CHAT, json=chat())
    client.post(CHAT, json={})
    client.get("/v1/models/a")
    client.get("/made/up")
    client.request("BREW", "/made/up")
    assert series(client, "http_requests_total", handler=CHAT, status="200", method="POST") == 1
    assert series(client, "http_requests_total", handler=CHAT, status="400") == 1
    assert series(client, "http_requests_total", handler="/v1/models/{model}", status="404") == 1
    assert series(client, "http_requests_total", handler="none", method="GET") == 1
    assert series(client, "http_requests_total", handler="none", method="other") == 1
    assert series(client, "http_request_duration_seconds_count", handler=CHAT) == 2
    assert series(client, "ocrvl_gateway_tokens_total", kind="completion") == 3
    assert series(client, "http_requests_in_progress") == 0


def test_a_request_keeps_its_id_and_gets_one_where_it_has_none_that_is_safe_to_log() -> None:
    client = GatewayClient(make_app(ScriptedReader()))
    assert client.get("/healthz", headers={"X-Request-Id": "order-7"}).headers["x-request-id"] == "order-7"
    made = client.get("/healthz", headers={"X-Request-Id": "a b\tc"}).headers["x-request-id"]
    assert len(made) == 32


def test_other_origins_are_allowed_only_where_they_are_listed() -> None:
    preflight = {"Origin": "https://app.example.com", "Access-Control-Request-Method": "POST"}
    closed = GatewayClient(make_app(ScriptedReader()))
    assert "access-control-allow-origin" not in closed.post(CHAT, json=chat(), headers=preflight).headers
    opened = GatewayClient(make_app(ScriptedReader(), cors_origins=["https://app.example.com"], api_keys=[KEY]))
    answer = opened.request("OPTIONS", CHAT, headers=preflight)
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, "https://app.example.com")


def test_readiness_is_the_servers() -> None:
    reader = ScriptedReader()
    client = GatewayClient(make_app(reader))
    assert client.get("/readyz").status_code == 200
    reader.ready = False
    assert client.get("/readyz").status_code == 503
    assert client.get("/healthz").status_code == 200


def test_the_reader_is_closed_with_the_application() -> None:
    reader = ScriptedReader()
    with serve_app(make_app(reader)) as url:
        assert httpx.get(url + "/healthz").status_code == 200
    assert reader.is_closed
