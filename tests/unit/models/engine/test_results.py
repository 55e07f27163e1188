"""`ocrvl.models.engine.results`: readings as their callers get them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ocrvl.errors import InternalError
from ocrvl.messages import Reading
from ocrvl.models.engine.results import finish_reading, order_readings
from ocrvl.options import Options
from ocrvl.postprocess import PaddleFunctions
from ocrvl.wire import FinishReason, Task
from tests.support.doubles import NoPostprocessing, pack


class Tables(NoPostprocessing):
    """Converts tables so that it shows, and leaves every other text as it is."""

    def convert_otsl_to_html(self, otsl_content: str) -> str:
        return f"<table>{otsl_content}</table>"


PADDLE: PaddleFunctions = Tables()


def test_readings_are_postprocessed_by_their_image_s_task_and_keep_its_warning() -> None:
    request = replace(pack(2, Options()), tasks=(Task.OCR, Task.TABLE), warnings=("", "2 frames were left out"))
    done = finish_reading(request, Reading(1, "b", FinishReason.STOP), PADDLE)
    assert (done.text, done.warning) == ("<table>b</table>", "2 frames were left out")
    assert finish_reading(request, Reading(0, "a", FinishReason.STOP), PADDLE).text == "a"


def test_a_text_that_is_left_as_it_is_says_so_beside_its_image_s_warning() -> None:
    request = replace(pack(1, Options()), tasks=(Task.TABLE,), warnings=("2 frames were left out",))
    otsl = "<ecel>" * 200 + "<fcel>x" + "<nl><ecel>" * 200
    done = finish_reading(request, Reading(0, otsl, FinishReason.STOP), PADDLE)
    assert done.warning.startswith("2 frames were left out; a table of 201 rows")


def test_raw_texts_are_left_alone() -> None:
    request = replace(pack(1, Options(raw=True)), tasks=(Task.TABLE,))
    assert finish_reading(request, Reading(0, "b", FinishReason.STOP), PADDLE).text == "b"


def test_readings_are_put_in_the_images_order() -> None:
    readings = [Reading(1, "b", FinishReason.STOP), Reading(0, "a", FinishReason.STOP)]
    assert [reading.text for reading in order_readings(pack(2, Options()), readings)] == ["a", "b"]


def test_an_image_that_the_engine_forgot_is_an_error() -> None:
    with pytest.raises(InternalError, match=r"no answer for images \[1\]"):
        order_readings(pack(2, Options()), [Reading(0, "a", FinishReason.STOP)])
