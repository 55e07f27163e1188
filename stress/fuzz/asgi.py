"""The gateway in this process, called without a network: a body in, status and answer out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from functools import cache
from typing import Any, Final

from ocrvl.wire import FinishReason
from ocrvl_client import Document, Page, Reading, Receipt
from ocrvl_gateway.app import create_app
from ocrvl_gateway.settings import GatewaySettings

LONGEST_REFUSAL: Final = 4096
"""Bytes."""


class _Reader:
    """Reads nothing in anything."""

    async def read(self, image: bytes, **_: Any) -> Reading:
        return Reading(str(len(image)), FinishReason.STOP, 1, 1)

    async def stream(self, image: bytes, **_: Any) -> AsyncGenerator[str | Reading, None]:
        yield await self.read(image)

    async def document_stream(self, file: bytes, **_: Any) -> AsyncGenerator[Page | Document, None]:
        yield Page(index=0, markdown=str(len(file)), content={}, images={}, error="", warning="", done=1, total=1)
        yield Document(markdown="")

    async def receipt(self, image: bytes, **_: Any) -> Receipt:
        values: Any = [*[None] * 8, (), "unknown", (), (), {"height": len(image)}]
        return Receipt(*values)

    async def is_ready(self) -> bool:
        return True

    async def aclose(self) -> None:
        pass


@cache
def _gateway() -> tuple[Any, asyncio.AbstractEventLoop]:
    return create_app(GatewaySettings(), _Reader()), asyncio.new_event_loop()


def post(path: str, body: bytes) -> tuple[int, bytes]:
    """What the gateway answers to JSON. Whatever its application raises is raised here."""
    app, loop = _gateway()
    query = b""
    headers = [(b"content-type", b"application/json"), (b"host", b"gateway")]
    scope = {"type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "query_string": query}
    scope |= {"headers": headers, "root_path": "", "scheme": "http", "client": ("127.0.0.1", 1), "http_version": "1.1"}
    waiting = [{"type": "http.request", "body": body, "more_body": False}]
    sent: list[Any] = []
    over = asyncio.Event()

    async def receive() -> Any:
        if waiting:
            return waiting.pop()
        await over.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    loop.run_until_complete(app(scope, receive, send))
    answer = b"".join(message.get("body", b"") for message in sent[1:])
    return sent[0]["status"], answer


def check_answer(status: int, answer: bytes) -> None:
    """A result, or a short refusal that is the caller's fault."""
    assert status == 200 or 400 <= status < 500, f"{status}: {answer[:200]!r}"
    if status != 200:
        assert len(answer) < LONGEST_REFUSAL, f"a refusal of {len(answer)} bytes"
