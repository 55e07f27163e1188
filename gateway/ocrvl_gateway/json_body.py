"""JSON whose cost is bounded before it is parsed: many small values take a hundred times their bytes in memory."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Final

from fastapi import Request
from fastapi.responses import Response
from fastapi.routing import APIRoute

from ocrvl_gateway.errors import BadRequest

MAX_VALUES: Final = 20_000
"""In a body, with what looks like one in a text; a request that means something has less than a hundred, a schema of
its own a few thousand."""

MAX_FIELDS: Final = 256
"""Of the object that a body is."""

_SEPARATORS: Final = (b",", b"[", b"{")
_WINDOW: Final = 2**20


class _BoundedRequest(Request):
    async def json(self) -> Any:
        """The body's value. Raises `BadRequest`."""
        body = await self.body()
        check_value_count(body, MAX_VALUES)
        value = await super().json()
        if isinstance(value, dict) and len(value) > MAX_FIELDS:
            raise BadRequest(f"the body has {len(value)} fields, at most {MAX_FIELDS} are taken")
        return value


def check_value_count(body: bytes, limit: int) -> None:
    """Refuse a body that may have more values than `limit`. Raises `BadRequest`."""
    found = 0
    for begin in range(0, len(body), _WINDOW):
        found += sum(body.count(separator, begin, begin + _WINDOW) for separator in _SEPARATORS)
        if found > limit:
            raise BadRequest(f"the body has more than {limit} values")


class BoundedJsonRoute(APIRoute):
    """A route that parses no body of more than `MAX_VALUES` values."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's, with requests that are bounded."""
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            return await handler(_BoundedRequest(request.scope, request.receive))

        return handle
