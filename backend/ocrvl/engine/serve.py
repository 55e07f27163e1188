"""All the pictures of one request through the engine, side by side."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator
from typing import Protocol

from ocrvl.errors import Cancelled, OcrError
from ocrvl.hop import PackedPicture, PackedPictures, Reading
from ocrvl.options import Options


class Engine(Protocol):
    """What reads one picture: vLLM, or a double in a unit test."""

    async def read(self, picture: PackedPicture, options: Options, request_id: str) -> Reading:
        """The picture's text; cancelling the coroutine ends the work."""


async def read_pictures(engine: Engine, packed: PackedPictures, request_id: str) -> AsyncGenerator[Reading]:
    """Yield a `Reading` for each picture, in the order in which they are done.

    Each picture is a request of its own to the engine, so pictures of all requests share its batches. An error of
    one picture is raised and ends the others of its request, or, with `on_error: keep`, becomes its reading.
    Raises `Cancelled` when `timeout_ms` has passed.
    """
    for index, error in enumerate(packed.errors):
        if error:
            yield Reading(index, error=error)
    options = packed.options
    prefix = f"{request_id or 'request'}-{uuid.uuid4().hex[:12]}"
    tasks = {
        asyncio.create_task(_read_one(engine, picture, options, f"{prefix}-{picture.index}"))
        for picture in packed.pictures()
    }
    try:
        async with asyncio.timeout(options.timeout_ms / 1000 if options.timeout_ms else None):
            for next_done in asyncio.as_completed(tasks):
                yield await next_done
    except TimeoutError:
        raise Cancelled(f"timeout_ms ({options.timeout_ms}) has passed") from None
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _read_one(engine: Engine, picture: PackedPicture, options: Options, request_id: str) -> Reading:
    try:
        return await engine.read(picture, options, request_id)
    except OcrError as error:
        named = type(error)(f"picture {picture.index}: {error}")
        if options.on_error == "fail":
            raise named from error
        return Reading(picture.index, error=named.tagged)
