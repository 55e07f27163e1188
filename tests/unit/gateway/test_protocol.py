"""Limits of connections: bytes of headers, and time in which an answer is not read."""

from __future__ import annotations

import contextlib
import socket
import time
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from ocrvl_gateway.protocol import MAX_HEADER_BYTES, BoundedProtocol, protocol_class
from tests.support.doubles import wait_until
from tests.support.gateways import (
    HALF_REQUEST,
    ScriptedReader,
    connect,
    document,
    is_in_progress,
    make_app,
    page,
    serve_app,
)


class LargePages(ScriptedReader):
    """More than any buffer on the way takes."""

    def __init__(self) -> None:
        super().__init__()
        self.items = [page(images={"imgs/a.jpg": bytes(4_000_000)}), page(), document()]


def send_and_not_read(url: str) -> socket.socket:
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    parts = urlsplit(url)
    connection.connect((parts.hostname, parts.port))
    connection.sendall(HALF_REQUEST.replace(b"half", b"0123456789"))
    return connection


@pytest.mark.parametrize(
    ("settings", "send_timeout"),
    [({}, 0.1), ({"timeout": 0.2, "document_timeout": 0.2, "restructure_timeout": 0.2}, 99)],
)
def test_an_answer_that_is_not_read_does_not_stay_in_flight(settings: dict[str, Any], send_timeout: float) -> None:
    reader = LargePages()
    app = make_app(reader, max_in_flight=1, **settings)
    with serve_app(app, http=protocol_class(send_timeout)) as url, send_and_not_read(url):
        wait_until(lambda: reader.requests)
        wait_until(lambda: not is_in_progress(url))


def test_an_answer_that_is_read_slowly_is_not_aborted() -> None:
    seconds = 1.5  # longer than a busy machine keeps this thread from reading
    with serve_app(make_app(LargePages()), http=protocol_class(seconds)) as url, send_and_not_read(url) as connection:
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


@pytest.mark.parametrize(
    "headers", [b"GET /healthz HTTP/1.1\r\nA: ", b"GET /", b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 9]
)
def test_endless_headers_are_refused(headers: bytes) -> None:
    with serve_app(make_app(ScriptedReader()), http=BoundedProtocol) as url, connect(url) as connection:
        connection.sendall(headers)
        sent = 0
        filling = b"a" * 65536 if not headers.endswith(b"\n") else b"a: b\r\n" * 10_000
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
