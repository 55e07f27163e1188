"""What one caller can take of the gateway: places, time, memory, and the length of what is said to it."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import socket
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from ocrvl_gateway.errors import BodyTimeout, ClientDisconnected, ContentTooLarge, Overloaded, Refusal
from ocrvl_gateway.json_body import MAX_FIELDS, MAX_VALUES
from ocrvl_gateway.middleware.body import BodyLimiter
from ocrvl_gateway.paddle.restructure_pool import RestructurePool
from ocrvl_gateway.protocol import MAX_HEADER_BYTES, BoundedProtocol, protocol_class
from tests.support.doubles import PATIENCE, wait_until
from tests.support.gateways import IMAGE, GatewayClient, ScriptedReader, chat, document, make_app, page, serve_app

CHAT = "/v1/chat/completions"
OTHERS = ("/layout-parsing", "/restructure-pages", "/api/document", "/nowhere")
HALF = b"POST /api/document HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf"


def connect(url: str) -> socket.socket:
    parts = urlsplit(url)
    return socket.create_connection((parts.hostname or "", parts.port or 0), timeout=PATIENCE)


def read(url: str) -> int:
    return httpx.post(url + "/api/document", content=IMAGE, timeout=PATIENCE).status_code


def in_progress(url: str) -> bool:
    return "http_requests_in_progress 0.0" not in httpx.get(url + "/metrics").text


def arriving(*messages: dict[str, Any]) -> Callable[[], Any]:
    """A `receive` that brings these, and then nothing more."""
    waiting = list(messages)

    async def receive() -> dict[str, Any]:
        if not waiting:
            await asyncio.sleep(PATIENCE)
        return waiting.pop(0)

    return receive


def part(body: bytes, *, more: bool = True) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


@pytest.mark.parametrize(
    ("messages", "refusal"),
    [
        ([part(bytes(9)), part(bytes(2))], ContentTooLarge),
        ([part(bytes(9))], BodyTimeout),
        ([part(bytes(9)), {"type": "http.disconnect"}], ClientDisconnected),
        ([part(bytes(9)), part(bytes(1), more=False)], Overloaded),
    ],
)
def test_nothing_is_kept_of_a_body_that_is_refused(messages: list[Any], refusal: type[Refusal]) -> None:
    async def run() -> None:
        bodies = BodyLimiter(max_bytes=10, max_total_bytes=13, timeout=0.05)
        held = await bodies.receive(arriving(part(b"four", more=False)))
        with pytest.raises(refusal):
            await bodies.receive(arriving(*messages))
        bodies.release(len(held))
        # all of it is there again
        assert await bodies.receive(arriving(part(bytes(9)), part(b"!", more=False))) == bytes(9) + b"!"

    asyncio.run(run())


def test_bodies_that_do_not_come_hold_no_place_and_are_told_so_in_time() -> None:
    with serve_app(make_app(ScriptedReader(), max_in_flight=1, receive_timeout=0.5)) as url:
        silent = [connect(url) for _ in range(5)]
        for connection in silent:
            connection.sendall(HALF)
        assert read(url) == 200
        for connection in silent:
            answer = connection.recv(4096)
            assert answer.startswith(b"HTTP/1.1 408")
            assert b"connection: close" in answer.lower()
            connection.close()
        assert not in_progress(url)


def test_bodies_of_all_requests_have_a_limit_together() -> None:
    app = make_app(ScriptedReader(), max_body_bytes=1000, max_total_body_bytes=1000)
    with serve_app(app) as url, connect(url) as connection:
        connection.sendall(HALF.replace(b"10", b"999").replace(b"half", bytes(990)))
        wait_until(lambda: read(url) == 503)
        connection.close()
        wait_until(lambda: read(url) == 200)


class LargePages(ScriptedReader):
    """More than any buffer on the way takes."""

    def __init__(self) -> None:
        super().__init__()
        self.items = [page(images={"imgs/a.jpg": bytes(4_000_000)}), page(), document()]


def ask_and_not_read(url: str) -> socket.socket:
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    parts = urlsplit(url)
    connection.connect((parts.hostname, parts.port))
    connection.sendall(HALF.replace(b"half", b"0123456789"))
    return connection


@pytest.mark.parametrize(
    ("settings", "send_seconds"),
    [({}, 0.1), ({"timeout": 0.2, "document_timeout": 0.2, "restructure_timeout": 0.2}, 99)],
)
def test_an_answer_that_nobody_reads_gives_its_place_back(settings: dict[str, Any], send_seconds: float) -> None:
    reader = LargePages()
    app = make_app(reader, max_in_flight=1, **settings)
    with serve_app(app, http=protocol_class(send_seconds)) as url, ask_and_not_read(url):
        wait_until(lambda: reader.requests)
        wait_until(lambda: not in_progress(url))


def test_an_answer_that_is_read_slowly_is_not_given_up() -> None:
    seconds = 1.5  # longer than a busy machine keeps this thread from reading
    with serve_app(make_app(LargePages()), http=protocol_class(seconds)) as url, ask_and_not_read(url) as connection:
        answer = b""
        began = time.monotonic()
        while time.monotonic() < began + 1.5 * seconds:
            answer += connection.recv(65536)
            time.sleep(0.002)
        while b"event: document" not in answer[-4096:]:
            chunk = connection.recv(65536)
            assert chunk, "the connection was closed"
            answer += chunk
    assert len(answer) > 5_000_000


def test_an_answer_that_does_not_come_in_time_is_told_as_late() -> None:
    reader = ScriptedReader()
    reader.hangs = True
    settings: dict[str, Any] = {"timeout": 0.1, "document_timeout": 0.1, "restructure_timeout": 0.1}
    answer = GatewayClient(make_app(reader, **settings)).post(CHAT, json=chat())
    assert (answer.status_code, answer.json()["error"]["code"]) == (504, "timeout")
    assert reader.cancelled == len(reader.requests)


@pytest.mark.parametrize("head", [b"GET /healthz HTTP/1.1\r\nA: ", b"GET /", b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 9])
def test_a_head_without_end_is_refused(head: bytes) -> None:
    with serve_app(make_app(ScriptedReader()), http=BoundedProtocol) as url, connect(url) as connection:
        connection.sendall(head)
        sent = 0
        filling = b"a" * 65536 if not head.endswith(b"\n") else b"a: b\r\n" * 10_000
        answer = b""
        with contextlib.suppress(OSError):
            while sent < 100 * MAX_HEADER_BYTES:
                connection.sendall(filling)
                sent += len(filling)
        # a connection that is closed with our bytes unread may take the answer with it
        with contextlib.suppress(ConnectionResetError):
            answer = connection.recv(4096)
        assert sent < 100 * MAX_HEADER_BYTES
        assert answer[:12] in (b"", b"HTTP/1.1 431", b"HTTP/1.1 400")
        assert httpx.get(url + "/healthz", headers={"A": "a" * 30_000}).status_code == 200


MANY = 2 * MAX_VALUES
BOMBS = {
    "lists": b'{"model": "x", "messages": [' + b"[]," * MANY + b"[]]}",
    "keys": b'{"model": "x", ' + b"".join(b'"k%d": 0,' % number for number in range(MANY)) + b'"messages": []}',
    "values": b'{"pages": [' + b"{}," * MANY + b"{}]}",
    "meta": b'{"metadata": {' + b",".join(b'"%d": 0' % number for number in range(MANY)) + b"}}",
    "fields": b"{" + b",".join(b'"k%d": 0' % number for number in range(MAX_FIELDS + 1)) + b"}",
    "deep": b"[" * (MAX_VALUES - 1),
    "long key": b'{"' + b"k" * 1_000_000 + b'": 0}',
    "long name": json.dumps(chat(model="m" * 1_000_000)).encode(),
    "odd name": json.dumps(chat(model='\\"\u20ac\U0001f600' * 100_000)).encode(),
    "wrong type": json.dumps({"pages": [{"prunedResult": ["x" * 99]}] * 999, "messages": ["x" * 9] * 999}).encode(),
    "text": b'"' + base64.b64encode(bytes(999_999)) + b'"',
}


@pytest.mark.parametrize("kind", BOMBS)
@pytest.mark.parametrize("path", [CHAT, *OTHERS])
def test_a_refusal_is_short_whatever_was_sent(kind: str, path: str) -> None:
    reader = ScriptedReader()
    url = path if path != "/api/document" else path + "?" + "&".join(f"k{number}={'x' * 99}" for number in range(300))
    answer = GatewayClient(make_app(reader)).post(
        url, content=BOMBS[kind], headers={"Content-Type": "application/json"}
    )
    assert 400 <= answer.status_code < 500
    assert len(answer.content) < 4096
    assert answer.content.count(b"msg") <= 6
    assert not reader.requests


def test_pages_of_very_many_values_are_handed_to_no_process() -> None:
    body = b'{"pages": [' + b"{}," * 2_000_000 + b"{}]}"
    client = GatewayClient(
        make_app(ScriptedReader(), restructure_pool=RestructurePool(PATIENCE, module="no.such.module"))
    )
    answer = client.post("/restructure-pages", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert "2000000 values" in answer.json()["errorMsg"]


def test_a_body_of_many_values_is_refused_before_it_is_parsed(monkeypatch: Any) -> None:
    def parse(*_: Any, **__: Any) -> Any:
        raise AssertionError("it was parsed")

    monkeypatch.setattr(json, "loads", parse)
    answer = GatewayClient(make_app(ScriptedReader())).request(
        "POST", CHAT, content=BOMBS["lists"], headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 400
    assert str(MAX_VALUES).encode() in answer.content
