"""`ocrvl.postprocess`: PaddleOCR's own rules, task by task, on words such as the real model gives."""

from __future__ import annotations

import json

import pytest

from ocrvl.postprocess import PaddleFunctions, load_paddle_functions, postprocess_text, replace_formula_delimiters
from ocrvl.wire import Task


@pytest.fixture(scope="module")
def paddle() -> PaddleFunctions:
    return load_paddle_functions()


def test_a_table_becomes_html(paddle: PaddleFunctions) -> None:
    html = postprocess_text("<fcel>Item<fcel>Price<nl><fcel>Tea<fcel>2.50<nl>", Task.TABLE, (10, 10), paddle)
    assert html.startswith("<table")
    assert "<td>Tea</td><td>2.50</td>" in html


def test_words_that_are_no_table_stay_as_they_are(paddle: PaddleFunctions) -> None:
    assert postprocess_text("no table here", Task.TABLE, (10, 10), paddle) == "no table here"


def test_formulas_get_markdown_delimiters(paddle: PaddleFunctions) -> None:
    assert postprocess_text(r"\[ E = mc^2 \]", Task.FORMULA, (10, 10), paddle).strip() == "$$  E = mc^2  $$"


def test_dollars_stay_where_there_is_no_formula() -> None:
    assert replace_formula_delimiters("that is $5") == "that is $5"


def test_runaway_repetition_is_cut(paddle: PaddleFunctions) -> None:
    text = "The sum is " + "thank you " * 40
    assert postprocess_text(text, Task.OCR, (10, 10), paddle) == "The sum is"


def test_a_short_text_is_not_taken_for_repetition(paddle: PaddleFunctions) -> None:
    assert postprocess_text("ha" * 10, Task.OCR, (10, 10), paddle) == "ha" * 10


def test_spotting_gives_boxes_in_pixels_of_the_picture_as_sent(paddle: PaddleFunctions) -> None:
    corners = "".join(f"<|LOC_{value}|>" for value in (0, 0, 500, 0, 500, 250, 0, 250))
    found = json.loads(postprocess_text(f"Total{corners}", Task.SPOTTING, (200, 400), paddle))
    assert found == {"rec_texts": ["Total"], "rec_polys": [[[0, 0], [100, 0], [100, 100], [0, 100]]]}
