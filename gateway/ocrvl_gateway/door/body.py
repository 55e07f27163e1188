"""The size of a request's body, watched while it is read: nothing is kept of one that turns out too long."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.types import Message, Receive

from ocrvl_gateway.errors import BadRequest, TooLarge


def check_length(headers: Headers, limit: int) -> None:
    """Refuse what says of itself that it is too long. Raises `Refusal`."""
    length = headers.get("content-length")
    if length is None:
        return
    if not length.isdecimal():
        raise BadRequest(f"Content-Length: {length!r} is not a number of bytes")
    if int(length) > limit:
        raise _too_large(limit)


def limit_body(receive: Receive, limit: int) -> Receive:
    """Hands on what is received, and raises `TooLarge` at the chunk that goes beyond the limit."""
    received = 0

    async def limited() -> Message:
        nonlocal received
        message = await receive()
        if message["type"] == "http.request":
            received += len(message.get("body", b""))
            if received > limit:
                raise _too_large(limit)
        return message

    return limited


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"the request has more than {limit} bytes")
