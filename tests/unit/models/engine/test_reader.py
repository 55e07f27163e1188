"""What becomes of a request's images, with an engine that is scripted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import aclosing

import numpy as np
import pytest

from ocrvl.errors import Cancelled, InvalidArgument, Unavailable
from ocrvl.messages import PackedImage, PackedImages, Reading
from ocrvl.models.engine.reader import read_images
from ocrvl.models.engine.request import EngineRequest
from ocrvl.options import Options
from ocrvl.wire import FinishReason, Task
from tests.support.doubles import GRID, MemoryCall


class ScriptedEngine:
    """Takes the given seconds for each image, then reads its number; raises for those in `failing`."""

    def __init__(self, seconds: list[float], failing: dict[int, Exception] | None = None) -> None:
        self.seconds = seconds
        self.failing = failing or {}
        self.ended: list[int] = []

    async def read(
        self,
        image: PackedImage,
        options: Options,
        request_id: str,
        *,
        trace_headers: Mapping[str, str] | None = None,
        on_text: Callable[[str], None] | None = None,
    ) -> Reading:
        assert request_id.startswith("id-")
        assert request_id.endswith(f"-{image.index}")
        if on_text:
            on_text(f"text {image.index}")
        try:
            await asyncio.sleep(self.seconds[image.index])
        except asyncio.CancelledError:
            self.ended.append(image.index)
            raise
        if image.index in self.failing:
            raise self.failing[image.index]
        return Reading(image.index, f"text {image.index}", FinishReason.STOP, 5, 2)


def packed(count: int, options: Options, errors: dict[int, str] | None = None) -> PackedImages:
    errors = errors or {}
    grids = [(0, 0, 0) if index in errors else (1, 2, 2) for index in range(count)]
    return PackedImages(
        patches=np.zeros((4 * (count - len(errors)), 588), np.uint8),
        grids=np.array(grids, np.int64),
        source_sizes=np.full((count, 2), 28, np.int32),
        tasks=(Task.OCR,) * count,
        errors=tuple(errors.get(index, "") for index in range(count)),
        warnings=("",) * count,
        options=options,
    )


def request_of(images: PackedImages) -> EngineRequest:
    request = EngineRequest(MemoryCall(images.encode_tensors(), "id"))
    request.decode(GRID)
    return request


def read(engine: ScriptedEngine, images: PackedImages) -> list[Reading]:
    async def collect() -> list[Reading]:
        return [reading async for reading in read_images(engine, request_of(images))]

    return asyncio.run(collect())


def test_readings_come_as_they_are_done() -> None:
    readings = read(ScriptedEngine([0.05, 0.0, 0.1]), packed(3, Options()))
    assert [reading.index for reading in readings] == [1, 0, 2]


def test_an_error_ends_the_other_images_of_its_request() -> None:
    engine = ScriptedEngine([60.0, 0.0], {1: Unavailable("gone")})
    with pytest.raises(Unavailable, match="image 1: gone"):
        read(engine, packed(2, Options()))
    assert engine.ended == [0]


def test_an_error_is_kept_where_that_is_asked() -> None:
    engine = ScriptedEngine([0.0, 0.0], {1: InvalidArgument("too long")})
    readings = read(engine, packed(2, Options(on_error="keep")))
    assert {reading.index: reading.error for reading in readings} == {0: "", 1: "[INVALID_ARG] image 1: too long"}


def test_images_that_failed_before_are_passed_on() -> None:
    readings = read(ScriptedEngine([0.0, 0.0]), packed(2, Options(on_error="keep"), {0: "[INVALID_ARG] bad"}))
    assert {reading.index: reading.error for reading in readings} == {0: "[INVALID_ARG] bad", 1: ""}


def test_the_time_limit_ends_what_is_left() -> None:
    engine = ScriptedEngine([0.0, 60.0])
    request = request_of(packed(2, Options(timeout_ms=50)))

    async def consume() -> None:
        async with aclosing(read_images(engine, request)) as readings:
            async for reading in readings:
                request.readings.append(reading)

    assert isinstance(asyncio.run(request.run(consume())), Cancelled)
    assert engine.ended == [1]
    assert [reading.index for reading in request.readings] == [0]


def test_a_consumer_that_goes_away_ends_the_work() -> None:
    engine = ScriptedEngine([0.0, 60.0])

    async def take_one() -> None:
        readings = read_images(engine, request_of(packed(2, Options())))
        await anext(readings)
        await readings.aclose()

    asyncio.run(take_one())
    assert engine.ended == [1]


def test_text_is_handed_on_with_the_index_of_its_image() -> None:
    pieces: list[tuple[int, str]] = []
    request = request_of(packed(2, Options()))

    async def collect() -> None:
        async for _ in read_images(ScriptedEngine([0.0, 0.0]), request, lambda *piece: pieces.append(piece)):
            pass

    asyncio.run(collect())
    assert sorted(pieces) == [(0, "text 0"), (1, "text 1")]
