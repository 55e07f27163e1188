"""A request's body on its way in: bounded in bytes, in time, and together with the bodies of all other requests."""

from __future__ import annotations

import asyncio
from typing import Final

from starlette.datastructures import Headers
from starlette.types import Message, Receive

from ocrvl_gateway.errors import BadRequest, Busy, ClientGone, TooLarge, TooSlow

_RETRY_SECONDS: Final = 1.0


def check_length(headers: Headers, limit: int) -> None:
    """Refuse what says of itself that it is too long. Raises `Refusal`."""
    length = headers.get("content-length")
    if length is None:
        return
    if not length.isdecimal():
        raise BadRequest(f"Content-Length: {length[:32]!r} is not a number of bytes")
    if int(length) > limit:
        raise _too_large(limit)


class Bodies:
    """The bodies in memory, each of at most `most` bytes and all of `total`; one arrives within `seconds`."""

    def __init__(self, most: int, total: int, seconds: float) -> None:
        self._most = most
        self._total = total
        self._seconds = seconds
        self._held = 0

    async def receive(self, receive: Receive) -> bytes:
        """All of one, which is held until `release`. Nothing is kept of one that is refused. Raises `Refusal`."""
        body = bytearray()
        try:
            async with asyncio.timeout(self._seconds):
                while await self._receive_some(receive, body):
                    pass
            return bytes(body)
        except TimeoutError:
            self.release(len(body))
            raise TooSlow(f"the request did not arrive within {self._seconds:g} s") from None
        except BaseException:
            self.release(len(body))
            raise

    def release(self, length: int) -> None:
        """A body of this length is in memory no more."""
        self._held -= length

    async def _receive_some(self, receive: Receive, body: bytearray) -> bool:
        """Whether there is more to come."""
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone("the caller went away")
        chunk = message.get("body", b"")
        if len(body) + len(chunk) > self._most:
            raise _too_large(self._most)
        if self._held + len(chunk) > self._total:
            raise Busy(
                "the bodies of other requests fill the memory that there is for them", retry_after=_RETRY_SECONDS
            )
        self._held += len(chunk)
        body += chunk
        return bool(message.get("more_body", False))


def received(body: bytes, receive: Receive) -> Receive:
    """Hands on a body that has arrived, and then what comes after it: the end of the connection."""
    waiting = [body]

    async def replay() -> Message:
        if waiting:
            return {"type": "http.request", "body": waiting.pop(), "more_body": False}
        return await receive()

    return replay


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"the request has more than {limit} bytes")
