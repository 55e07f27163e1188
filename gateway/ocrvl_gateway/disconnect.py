"""Work that ends with its caller: when the connection is closed, so is what was asked of the engine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from typing import Any, TypeVar

from fastapi import Request

from ocrvl_gateway.errors import ClientGone

T = TypeVar("T")


async def while_connected(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """What `work` returns. It is cancelled when the caller goes away; then `ClientGone` is raised.

    The request's body must have been read: what comes next from the connection is its end.
    """
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_wait_until_gone(request))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientGone("the caller went away")
        return task.result()
    finally:
        gone.cancel()
        task.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)


async def first_of(request: Request, stream: AsyncGenerator[T, None]) -> T:
    """The first item of a stream. What is wrong with a request shows here, while it can still be said by a status."""
    try:
        return await while_connected(request, anext(stream))
    except BaseException:
        await stream.aclose()
        raise


async def _wait_until_gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
