"""All the images of one request through the engine, side by side."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from ocrvl.errors import Cancelled, OcrError
from ocrvl.messages import PackedImage, PackedImages, Reading
from ocrvl.options import Options


@dataclass(frozen=True)
class Job:
    """What the images of a request have in common: its options, and a `name` that no other request has.

    `deadline` is when it is ended, in seconds of `time.monotonic`. `trace_headers` are W3C's `traceparent` and
    `tracestate`, where the caller sent them.
    """

    options: Options
    name: str
    deadline: float | None = None
    trace_headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def begin(cls, options: Options, request_id: str = "", trace_headers: Mapping[str, str] | None = None) -> Job:
        """A job that begins now, named after the caller's request id, which need not be unique."""
        return cls(
            options,
            name=f"{request_id or 'request'}-{uuid.uuid4().hex[:12]}",
            deadline=None if options.timeout_ms is None else time.monotonic() + options.timeout_ms / 1000,
            trace_headers=trace_headers or {},
        )


class Engine(Protocol):
    """What reads one image: vLLM, supervised, or a double in a unit test."""

    async def read(self, image: PackedImage, job: Job, on_text: Callable[[str], None] | None = None) -> Reading:
        """The image's text; cancelling the coroutine ends the work."""


async def read_images(
    engine: Engine,
    packed: PackedImages,
    job: Job,
    on_text: Callable[[int, str], None] | None = None,
) -> AsyncGenerator[Reading]:
    """Yield a `Reading` for each image, in the order in which they are done.

    Each image is a request of its own to the engine, so images of all requests share its batches. An error of
    one image is raised and ends the others of its request, or, with `on_error: keep`, becomes its reading.
    `on_text` gets an image's index and the next piece of its text. Raises `Cancelled` when `timeout_ms` has passed.
    """
    for index, error in enumerate(packed.errors):
        if error:
            yield Reading(index, error=error)
    tasks = {asyncio.create_task(_read_one(engine, image, job, on_text)) for image in packed.images()}
    try:
        # an event loop's clock is time.monotonic
        async with asyncio.timeout_at(job.deadline):
            for next_done in asyncio.as_completed(tasks):
                yield await next_done
    except TimeoutError:
        raise Cancelled("timeout_ms has passed") from None
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _read_one(
    engine: Engine, image: PackedImage, job: Job, on_text: Callable[[int, str], None] | None
) -> Reading:
    try:
        if on_text is None:
            return await engine.read(image, job)
        return await engine.read(image, job, lambda text: on_text(image.index, text))
    except OcrError as error:
        named = type(error)(f"image {image.index}: {error}")
        if job.options.on_error == "fail":
            raise named from error
        return Reading(image.index, error=named.tagged)
