"""Limits of request bodies: bytes of each, bytes of all together, and the time in which one arrives."""

from __future__ import annotations

import asyncio
from typing import Final

from starlette.datastructures import Headers
from starlette.types import Message, Receive

from ocrvl_gateway.errors import BadRequest, BodyTimeout, ClientDisconnected, ContentTooLarge, Overloaded

_RETRY_SECONDS: Final = 1.0


class BodyLimiter:
    """The bodies in memory, each of at most `max_bytes` and all of `max_total_bytes`; one arrives within `timeout`."""

    def __init__(self, max_bytes: int, max_total_bytes: int, timeout: float) -> None:
        self._max_bytes = max_bytes
        self._max_total_bytes = max_total_bytes
        self._timeout = timeout
        self._held_bytes = 0

    def check_content_length(self, headers: Headers) -> None:
        """Refuse a body whose headers already say that it is too long. Raises `Refusal`."""
        length = headers.get("content-length")
        if length is None:
            return
        if not length.isdecimal():
            raise BadRequest(f"Content-Length: {length[:32]!r} is not a number of bytes")
        if int(length) > self._max_bytes:
            raise self._too_large()

    async def receive(self, receive: Receive) -> bytes:
        """A whole body, which is held until `release`. Nothing is kept of one that is refused. Raises `Refusal`."""
        body = bytearray()
        try:
            async with asyncio.timeout(self._timeout):
                while await self._receive_chunk(receive, body):
                    pass
            return bytes(body)
        except TimeoutError:
            self.release(len(body))
            raise BodyTimeout(f"the request did not arrive within {self._timeout:g} s") from None
        except BaseException:
            self.release(len(body))
            raise

    def release(self, length: int) -> None:
        """A body of this length is no longer in memory."""
        self._held_bytes -= length

    async def _receive_chunk(self, receive: Receive, body: bytearray) -> bool:
        """Whether there is more to come."""
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnected("the client disconnected")
        chunk = message.get("body", b"")
        if len(body) + len(chunk) > self._max_bytes:
            raise self._too_large()
        if self._held_bytes + len(chunk) > self._max_total_bytes:
            raise Overloaded(
                "the bodies of other requests fill the memory that there is for them", retry_after=_RETRY_SECONDS
            )
        self._held_bytes += len(chunk)
        body += chunk
        return bool(message.get("more_body", False))

    def _too_large(self) -> ContentTooLarge:
        return ContentTooLarge(f"the request has more than {self._max_bytes} bytes")


def replay_body(body: bytes, receive: Receive) -> Receive:
    """A `receive` that hands on a body that has arrived, and then what comes after it: the end of the connection."""
    waiting = [body]

    async def replay() -> Message:
        if waiting:
            return {"type": "http.request", "body": waiting.pop(), "more_body": False}
        return await receive()

    return replay
