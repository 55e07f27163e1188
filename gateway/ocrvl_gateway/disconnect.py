"""Requests that end with their client: a closed connection cancels what runs in the engine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from typing import Any, TypeVar

from fastapi import Request

from ocrvl_gateway.errors import ClientDisconnected

T = TypeVar("T")


async def cancel_on_disconnect(request: Request, coroutine: Coroutine[Any, Any, T]) -> T:
    """What `coroutine` returns. It is cancelled when the client disconnects; `ClientDisconnected` is raised then.

    The request's body must have been read: the next message from the connection is its end.
    """
    task = asyncio.ensure_future(coroutine)
    disconnect = asyncio.ensure_future(_wait_for_disconnect(request))
    try:
        await asyncio.wait({task, disconnect}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientDisconnected("the client disconnected")
        return task.result()
    finally:
        disconnect.cancel()
        task.cancel()
        await asyncio.gather(task, disconnect, return_exceptions=True)


async def first_item(request: Request, stream: AsyncGenerator[T, None]) -> T:
    """The first item of a stream. What is wrong with a request shows here, while a status can still say it."""
    try:
        return await cancel_on_disconnect(request, anext(stream))
    except BaseException:
        await stream.aclose()
        raise


async def _wait_for_disconnect(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
