"""What becomes of a request's images, with an engine that is scripted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from ocrvl.errors import Cancelled, InternalError, InvalidArgument, Unavailable
from ocrvl.messages import PackedImage, PackedImages, Reading
from ocrvl.models.engine.results import finish_reading, order_readings
from ocrvl.models.engine.serve import Job, read_images
from ocrvl.options import Options
from ocrvl.postprocess import PaddleFunctions
from ocrvl.wire import FinishReason, Task


class ScriptedEngine:
    """Takes the given seconds for each image, then reads its number; raises for those in `failing`."""

    def __init__(self, seconds: list[float], failing: dict[int, Exception] | None = None) -> None:
        self.seconds = seconds
        self.failing = failing or {}
        self.ended: list[int] = []

    async def read(self, image: PackedImage, job: Job, on_text: Callable[[str], None] | None = None) -> Reading:
        assert job.name.startswith("id-")
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


class NoPostprocessing:
    """Leaves every text as it is."""

    def truncate_repetitive_content(self, content: str, *, min_count: int) -> str:
        return content

    def convert_otsl_to_html(self, otsl_content: str) -> str:
        return f"<table>{otsl_content}</table>"

    def post_process_for_spotting(self, input_str: str, w: int, h: int) -> tuple[str, dict[str, object]]:
        return input_str, {}


PADDLE: PaddleFunctions = NoPostprocessing()


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


def read(engine: ScriptedEngine, request: PackedImages) -> list[Reading]:
    async def collect() -> list[Reading]:
        return [reading async for reading in read_images(engine, request, Job.begin(request.options, "id"))]

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
    with pytest.raises(Cancelled, match="timeout_ms has passed"):
        read(engine, packed(2, Options(timeout_ms=50)))
    assert engine.ended == [1]


def test_a_consumer_that_goes_away_ends_the_work() -> None:
    engine = ScriptedEngine([0.0, 60.0])

    async def take_one() -> None:
        readings = read_images(engine, packed(2, Options()), Job.begin(Options(), "id"))
        await anext(readings)
        await readings.aclose()

    asyncio.run(take_one())
    assert engine.ended == [1]


def test_text_is_handed_on_with_the_index_of_its_image() -> None:
    pieces: list[tuple[int, str]] = []
    request = packed(2, Options())

    async def collect() -> None:
        job = Job.begin(request.options, "id")
        async for _ in read_images(ScriptedEngine([0.0, 0.0]), request, job, lambda *piece: pieces.append(piece)):
            pass

    asyncio.run(collect())
    assert sorted(pieces) == [(0, "text 0"), (1, "text 1")]


def test_readings_are_postprocessed_by_their_image_s_task_and_keep_its_warning() -> None:
    request = replace(packed(2, Options()), tasks=(Task.OCR, Task.TABLE), warnings=("", "2 frames were left out"))
    done = finish_reading(request, Reading(1, "b", FinishReason.STOP), PADDLE)
    assert (done.text, done.warning) == ("<table>b</table>", "2 frames were left out")
    assert finish_reading(request, Reading(0, "a", FinishReason.STOP), PADDLE).text == "a"


def test_a_text_that_is_left_as_it_is_says_so_beside_its_image_s_warning() -> None:
    request = replace(packed(1, Options()), tasks=(Task.TABLE,), warnings=("2 frames were left out",))
    otsl = "<ecel>" * 200 + "<fcel>x" + "<nl><ecel>" * 200
    done = finish_reading(request, Reading(0, otsl, FinishReason.STOP), PADDLE)
    assert done.warning.startswith("2 frames were left out; a table of 201 rows")


def test_raw_texts_are_left_alone() -> None:
    request = replace(packed(1, Options(raw=True)), tasks=(Task.TABLE,))
    assert finish_reading(request, Reading(0, "b", FinishReason.STOP), PADDLE).text == "b"


def test_readings_are_put_in_the_images_order() -> None:
    readings = [Reading(1, "b", FinishReason.STOP), Reading(0, "a", FinishReason.STOP)]
    assert [reading.text for reading in order_readings(packed(2, Options()), readings)] == ["a", "b"]


def test_an_image_that_the_engine_forgot_is_an_error() -> None:
    with pytest.raises(InternalError, match=r"no answer for images \[1\]"):
        order_readings(packed(2, Options()), [Reading(0, "a", FinishReason.STOP)])
