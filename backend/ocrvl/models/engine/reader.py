"""All the images of one request through the engine, side by side."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Protocol

from ocrvl.errors import OcrError
from ocrvl.messages import PackedImage, Reading
from ocrvl.models.engine.request import EngineRequest
from ocrvl.options import Options


class Engine(Protocol):
    """What reads one image: vLLM, supervised, or a double in a unit test."""

    async def read(
        self,
        image: PackedImage,
        options: Options,
        request_id: str,
        *,
        trace_headers: Mapping[str, str] | None = None,
        on_text: Callable[[str], None] | None = None,
    ) -> Reading:
        """The image's text. No other image has its `request_id`. Cancelling the coroutine ends generation."""


async def read_images(
    engine: Engine, request: EngineRequest, on_text: Callable[[int, str], None] | None = None
) -> AsyncGenerator[Reading]:
    """Yield a `Reading` for each image, in the order in which they are done.

    Each image is a request of its own to the engine, so images of all requests share its batches. An error of
    one image is raised and ends the others of its request, or, with `on_error: keep`, becomes its reading.
    `on_text` gets an image's index and the next piece of its text.
    """
    for index, error in enumerate(request.packed.errors):
        if error:
            yield Reading(index, error=error)
    tasks = {asyncio.create_task(_read_one(engine, image, request, on_text)) for image in request.packed.images()}
    try:
        for next_done in asyncio.as_completed(tasks):
            yield await next_done
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _read_one(
    engine: Engine, image: PackedImage, request: EngineRequest, on_text: Callable[[int, str], None] | None
) -> Reading:
    options = request.packed.options
    adapter = options.adapter_for(image.task)
    image_on_text = (lambda text: on_text(image.index, text)) if on_text else None
    try:
        return await engine.read(
            image,
            options,
            # what vLLM's spans carry
            f"{request.name}-{image.index}" + (f":{adapter}" if adapter else ""),
            trace_headers=request.trace_headers,
            on_text=image_on_text,
        )
    except OcrError as error:
        named = type(error)(f"image {image.index}: {error}")
        if options.on_error == "fail":
            raise named from error
        return Reading(image.index, error=named.tagged)
