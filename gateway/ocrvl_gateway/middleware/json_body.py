"""JSON whose cost is bounded before it is parsed: many small values take a hundred times their bytes in memory."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Final

from fastapi import Request
from fastapi.responses import Response
from fastapi.routing import APIRoute

from ocrvl_gateway.errors import BadRequest

MOST_VALUES: Final = 20_000
"""In a body, with what looks like one in a text; a request that means something has less than a hundred, a schema of
its own a few thousand."""

MOST_FIELDS: Final = 256
"""Of the object that a body is."""

_SIGNS: Final = (b",", b"[", b"{")
_WINDOW: Final = 2**20


class _BoundedRequest(Request):
    async def json(self) -> Any:
        """The body's value. Raises `BadRequest`."""
        body = await self.body()
        check_values(body, MOST_VALUES)
        value = await super().json()
        if isinstance(value, dict) and len(value) > MOST_FIELDS:
            raise BadRequest(f"the body has {len(value)} fields, at most {MOST_FIELDS} are taken")
        return value


def check_values(body: bytes, most: int) -> None:
    """Refuse a body that may have more values than that. Raises `BadRequest`."""
    found = 0
    for begin in range(0, len(body), _WINDOW):
        found += sum(body.count(sign, begin, begin + _WINDOW) for sign in _SIGNS)
        if found > most:
            raise BadRequest(f"the body has more than {most} values")


class BoundedJsonRoute(APIRoute):
    """A route that parses no body of more than `MOST_VALUES` values."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's, with requests that are bounded."""
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            return await handler(_BoundedRequest(request.scope, request.receive))

        return handle
