"""`ocrvl.postprocess`: PaddleOCR's own rules, task by task, on words such as the real model gives."""

from __future__ import annotations

import json
import re

import pytest

from ocrvl.postprocess import (
    MAX_CELLS,
    MAX_CHARACTERS,
    PaddleFunctions,
    TableSize,
    is_quick,
    load_paddle_functions,
    postprocess_text,
    replace_formula_delimiters,
)
from ocrvl.wire import Task

MALFORMED = "<fcel><ucel>2<nl><xcel>"
"""A cell that says neither that it is empty nor what is in it: PaddleX raises."""

CELL = re.compile('<td(?: rowspan="([0-9]+)")?(?: colspan="([0-9]+)")?>')


@pytest.fixture(scope="module")
def paddle() -> PaddleFunctions:
    return load_paddle_functions()


def processed(text: str, task: Task, paddle: PaddleFunctions, size: tuple[int, int] = (10, 10)) -> str:
    """The text where all is well."""
    done, warning = postprocess_text(text, task, size, paddle)
    assert warning == ""
    return done


def table(first_row: int, rows: int) -> str:
    """A row with its text at the end, and short ones that PaddleX pads."""
    return "<ecel>" * (first_row - 1) + "<fcel>x\n" + "<nl><ecel>" * (rows - 1)


def test_a_table_becomes_html(paddle: PaddleFunctions) -> None:
    html = processed("<fcel>Item<fcel>Price<nl><fcel>Tea<fcel>2.50<nl>", Task.TABLE, paddle)
    assert html.startswith("<table")
    assert "<td>Tea</td><td>2.50</td>" in html


def test_words_that_are_no_table_stay_as_they_are(paddle: PaddleFunctions) -> None:
    assert processed("no table here", Task.TABLE, paddle) == "no table here"


def test_formulas_get_markdown_delimiters(paddle: PaddleFunctions) -> None:
    assert processed(r"\[ E = mc^2 \]", Task.FORMULA, paddle).strip() == "$$  E = mc^2  $$"


def test_dollars_stay_where_there_is_no_formula() -> None:
    assert replace_formula_delimiters("that is $5") == "that is $5"


def test_printed_dollars_stay_beside_a_formula_and_those_around_it_go() -> None:
    assert replace_formula_delimiters(r"$5 and $\(x\)$ and \($y$\)") == "$5 and  $ x $ and  $ y $"


def test_runaway_repetition_is_cut(paddle: PaddleFunctions) -> None:
    text = "The sum is " + "thank you " * 40
    assert processed(text, Task.OCR, paddle) == "The sum is"


def test_a_short_text_is_not_taken_for_repetition(paddle: PaddleFunctions) -> None:
    assert processed("ha" * 10, Task.OCR, paddle) == "ha" * 10


def test_spotting_gives_boxes_in_pixels_of_the_image_as_sent(paddle: PaddleFunctions) -> None:
    corners = "".join(f"<|LOC_{value}|>" for value in (0, 0, 500, 0, 500, 250, 0, 250))
    found = json.loads(processed(f"Total{corners}", Task.SPOTTING, paddle, (200, 400)))
    assert found == {"rec_texts": ["Total"], "rec_polys": [[[0, 0], [100, 0], [100, 100], [0, 100]]]}


@pytest.mark.parametrize(
    "otsl",
    [
        "<fcel>a<fcel>b<nl><fcel>c<nl>",
        "<fcel>a<lcel><nl><ucel><xcel><nl>",
        "<fcel>a<ecel><ecel><ecel><nl><fcel>b<nl><fcel>c<nl>",
        "<fcel>a<nl><ecel><ecel><nl>",
        "words\n<nl><nl><ecel><fcel>",
        "",
    ],
)
def test_the_size_of_a_table_is_that_of_the_html(paddle: PaddleFunctions, otsl: str) -> None:
    html = paddle.convert_otsl_to_html(otsl)
    size = TableSize.of(otsl)
    spans = [(int(rows or 1), int(columns or 1)) for rows, columns in CELL.findall(html)]
    assert html.count("<tr>") == size.rows
    assert sum(rows * columns for rows, columns in spans) == size.cells


def test_a_table_with_too_many_cells_stays_as_the_model_wrote_it(paddle: PaddleFunctions) -> None:
    wide = table(1366, 1367)
    text, warning = postprocess_text(wide, Task.TABLE, (10, 10), paddle)
    assert text == wide
    assert f"1367 rows and 1366 columns, at most {MAX_CELLS} cells" in warning
    at_most = table(MAX_CELLS // 100, 100)
    assert processed(at_most, Task.TABLE, paddle).count("<td>") == MAX_CELLS


def test_tags_that_come_about_when_dollars_are_taken_out_are_counted(paddle: PaddleFunctions) -> None:
    hidden = r"\(" + table(1366, 1367).replace("<e", "<$e") + r"\)"
    assert TableSize.of(hidden).cells < MAX_CELLS
    assert postprocess_text(hidden, Task.TABLE, (10, 10), paddle)[0] == hidden


def test_a_table_whose_widths_are_too_many_to_try_stays_as_the_model_wrote_it(paddle: PaddleFunctions) -> None:
    ragged = "<fcel>x\n<nl>" + "<ecel><nl>" * 1000 + "<ecel>" * 5000
    assert TableSize.of(ragged).cells < MAX_CELLS
    assert postprocess_text(ragged, Task.TABLE, (10, 10), paddle)[0] == ragged


def test_a_text_that_is_too_long_stays_as_it_is(paddle: PaddleFunctions) -> None:
    text, warning = postprocess_text("ab" * MAX_CHARACTERS, Task.OCR, (10, 10), paddle)
    assert len(text) == 2 * MAX_CHARACTERS
    assert f"at most {MAX_CHARACTERS} are post-processed" in warning


@pytest.mark.parametrize(
    "text",
    ["a\n" + "<|TEXT_START|>" * 5000, "<|TEXT_END|>\n" + "<|LOC_BEGIN|>" * 5000, "a\n" + f"<|LOC_{'9' * 5000}|>" * 8],
    ids=["texts", "places", "digits"],
)
def test_spotting_that_cannot_be_made_out_stays_as_it_is(paddle: PaddleFunctions, text: str) -> None:
    done, warning = postprocess_text(text, Task.SPOTTING, (10, 10), paddle)
    assert done == text
    assert "cannot be made out" in warning


@pytest.mark.parametrize("text", ["\\)\n" + "\\(" * 5000, "$\\[a$" * 5000 + "\n\\]"], ids=["open", "dollars"])
def test_formulas_that_cannot_be_made_out_stay_as_they_are(paddle: PaddleFunctions, text: str) -> None:
    done, warning = postprocess_text(text, Task.FORMULA, (10, 10), paddle)
    assert done == text
    assert "formulas cannot be made out" in warning


def test_a_text_at_which_a_rule_fails_stays_as_it_is(paddle: PaddleFunctions) -> None:
    text, warning = postprocess_text(MALFORMED, Task.TABLE, (10, 10), paddle)
    assert text == MALFORMED
    assert warning.startswith("not post-processed (IndexError)")


def test_a_short_text_with_a_large_table_is_not_quick() -> None:
    text = table(100, 100)
    assert len(text) < 2000
    assert not is_quick(text, Task.TABLE)
    assert is_quick(text, Task.OCR)
    assert is_quick(table(5, 5), Task.TABLE)
