"""Limits of bodies: bytes, time, and memory of all together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from ocrvl_gateway.errors import BodyTimeout, ClientDisconnected, ContentTooLarge, Overloaded, Refusal
from ocrvl_gateway.middleware.body import BodyLimiter
from tests.support.doubles import WAIT_SECONDS, wait_until
from tests.support.gateways import (
    HALF_REQUEST,
    IMAGE,
    ScriptedReader,
    connect,
    is_in_progress,
    make_app,
    serve_app,
)


def read(url: str) -> int:
    return httpx.post(url + "/api/document", content=IMAGE, timeout=WAIT_SECONDS).status_code


def receive_from(*messages: dict[str, Any]) -> Callable[[], Any]:
    """A `receive` of these messages, and then nothing more."""
    waiting = list(messages)

    async def receive() -> dict[str, Any]:
        if not waiting:
            await asyncio.sleep(WAIT_SECONDS)
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
        held = await bodies.receive(receive_from(part(b"four", more=False)))
        with pytest.raises(refusal):
            await bodies.receive(receive_from(*messages))
        bodies.release(len(held))
        # all of it is there again
        assert await bodies.receive(receive_from(part(bytes(9)), part(b"!", more=False))) == bytes(9) + b"!"

    asyncio.run(run())


def test_bodies_that_do_not_arrive_are_not_in_flight_and_time_out() -> None:
    with serve_app(make_app(ScriptedReader(), max_in_flight=1, receive_timeout=0.5)) as url:
        silent = [connect(url) for _ in range(5)]
        for connection in silent:
            connection.sendall(HALF_REQUEST)
        assert read(url) == 200
        for connection in silent:
            answer = connection.recv(4096)
            assert answer.startswith(b"HTTP/1.1 408")
            assert b"connection: close" in answer.lower()
            connection.close()
        assert not is_in_progress(url)


def test_bodies_of_all_requests_have_a_limit_together() -> None:
    app = make_app(ScriptedReader(), max_body_bytes=1000, max_total_body_bytes=1000)
    with serve_app(app) as url, connect(url) as connection:
        connection.sendall(HALF_REQUEST.replace(b"10", b"999").replace(b"half", bytes(990)))
        wait_until(lambda: read(url) == 503)
        connection.close()
        wait_until(lambda: read(url) == 200)
