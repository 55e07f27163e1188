"""The model's own words to what a caller wants, by task: PaddleOCR's own code and rules, from PaddleX."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Final, Protocol

from ocrvl.markup import mark_written, unmark
from ocrvl.wire import Task

MAX_CELLS: Final = 10_000
"""Rows times columns of a table that is converted. PaddleX takes up to 35 us and 3 kB a cell, those included that only
pad short rows: a few hundred tags can ask for a million. A table that is written out has fewer cells than tokens."""

_MAX_WIDTHS: Final = 500_000
"""Rows times the longest row's cells: PaddleX tries each width on each row, 0.1 us a trial."""

MAX_CHARACTERS: Final = 200_000
"""Of a text to which the rules are applied: PaddleX's search for repetition is quadratic, 50 ms for this many."""

_MAX_UNCLOSED: Final = 100
"""Marks of spotting that are opened and not closed: for each of them PaddleX searches the rest of the text."""

_MAX_SEARCHED: Final = 20_000_000
"""Openings of formulas times characters: for each opening the rest may be searched for its end, 5 ns a character, while
no other thread runs."""

_QUICK_CHARACTERS, _QUICK_CELLS = 2000, 200
"""A text of fewer takes some milliseconds at most."""

_CELL: Final = re.compile("<(?:fcel|ecel|lcel|ucel|xcel)>")
_FAR: Final = re.compile(r"<\|LOC_[0-9]{5,}\|>")
"""A place beyond any image: places are thousandths of its sides."""

_TRUNCATE_FROM_CHARACTERS = {Task.TABLE: 5000}
_TRUNCATE_FROM_CHARACTERS_ELSE = 50
"""Repetition is looked for in texts of at least this length (PaddleX, `paddleocr_vl` pipeline)."""

_FORMULA_DELIMITERS = (
    (r"\(", " $ "),
    (r"\)", " $"),
    (r"\[\[", r"\["),
    (r"\]\]", r"\]"),
    (r"\[", " $$ "),
    (r"\]", " $$ "),
)
"""In this order (PaddleX, `paddleocr_vl` pipeline)."""


class PaddleFunctions(Protocol):
    """What is used of `paddlex.inference.pipelines.paddleocr_vl.uilts` (sic)."""

    def truncate_repetitive_content(self, content: str, *, min_count: int) -> str: ...
    def convert_otsl_to_html(self, otsl_content: str) -> str: ...
    def post_process_for_spotting(self, input_str: str, w: int, h: int) -> tuple[str, dict[str, Any]]: ...


def load_paddle_functions() -> PaddleFunctions:
    """Import PaddleX's functions: seconds, so it is done once, when a model loads."""
    from paddlex.inference.pipelines.paddleocr_vl import uilts

    functions: PaddleFunctions = uilts
    return functions


@dataclass(frozen=True)
class TableSize:
    """Rows and columns of a table in OTSL as PaddleX pads and cuts it, and the cells of its `longest` row."""

    rows: int
    columns: int
    longest: int

    @classmethod
    def of(cls, otsl: str) -> TableSize:
        """The size of the table that a text describes.

        PaddleX takes the width to which the rows have the smallest distance, but none that would cut a cell with text.
        """
        rows = [cells for line in otsl.split("<nl>") if (cells := _CELL.findall(line))]
        if not rows:
            return cls(0, 0, 0)
        lengths = sorted(map(len, rows))
        filled = max(_last_filled(row) for row in rows)
        return cls(len(rows), max(lengths[(len(lengths) - 1) // 2], filled), lengths[-1])

    @property
    def cells(self) -> int:
        """All of them, also those that are only padding."""
        return self.rows * self.columns


def _last_filled(row: list[str]) -> int:
    return next((place for place in range(len(row), 0, -1) if row[place - 1] == "<fcel>"), 0)


def is_quick(text: str, task: Task) -> bool:
    """Whether post-processing takes some milliseconds at most."""
    if len(text) >= _QUICK_CHARACTERS:
        return False
    return task is not Task.TABLE or TableSize.of(replace_formula_delimiters(text)).cells <= _QUICK_CELLS


def _why_raw(text: str, task: Task, paddle: PaddleFunctions) -> str:
    """Why the rules are not applied to a text: they would cost too much. Empty where they are."""
    if len(text) > MAX_CHARACTERS:
        return f"{len(text)} characters, at most {MAX_CHARACTERS} are post-processed: the text is as the model wrote it"
    if len(text) * sum(map(text.count, (r"\(", r"\["))) > _MAX_SEARCHED:
        return "its formulas cannot be made out: the text is as the model wrote it"
    cut = _cut_repetition(text, task, paddle)
    # what the rules before make of it: a tag may come about when dollars are taken out
    return _what_is_too_much(replace_formula_delimiters(cut), task) or _what_is_too_much(cut, task)


def _what_is_too_much(text: str, task: Task) -> str:
    if task is Task.TABLE:
        size = TableSize.of(text)
        if size.cells > MAX_CELLS or size.rows * size.longest > _MAX_WIDTHS:
            return (
                f"a table of {size.rows} rows and {size.columns} columns, at most {MAX_CELLS} cells are converted: "
                "the text is as the model wrote it"
            )
    if task is Task.SPOTTING and (_FAR.search(text) or _unclosed(text) > _MAX_UNCLOSED):
        return "its places cannot be made out: the text is as the model wrote it"
    return ""


def _unclosed(text: str) -> int:
    return sum(
        text.rpartition(f"<|{mark}_{end}|>")[2].count(f"<|{mark}_{begin}|>")
        for mark, begin, end in (("TEXT", "START", "END"), ("LOC", "BEGIN", "END"))
    )


def postprocess_text(text: str, task: Task, size: tuple[int, int], paddle: PaddleFunctions) -> tuple[str, str]:
    """What PaddleOCR makes of the model's words, except that spotting keeps its boxes; and a warning.

    A text that would take too much is left as it is, and so is one that PaddleX fails on: the warning says so.
    """
    try:
        if warning := _why_raw(text, task, paddle):
            return text, warning
        return _apply_rules(text, task, size, paddle), ""
    except Exception as error:
        # what a model writes has no form that could be relied on, and the text is worth more than the rules
        return text, f"not post-processed ({type(error).__name__}): the text is as the model wrote it"


def _apply_rules(text: str, task: Task, size: tuple[int, int], paddle: PaddleFunctions) -> str:
    """The text by PaddleX's rules for the task.

    Runaway repetition is cut, formula delimiters become `$` and `$$`, tables (OTSL) HTML. Spotting becomes a JSON
    object with `rec_texts` and `rec_polys` (four corners each, in pixels of the image as it was sent, whose
    width and height `size` gives).
    """
    text = _cut_repetition(text, task, paddle)
    if task is Task.SPOTTING:
        _, found = paddle.post_process_for_spotting(text, *size)
        return json.dumps(found, ensure_ascii=False, allow_nan=False)
    text = replace_formula_delimiters(text)
    if task is Task.TABLE:
        return paddle.convert_otsl_to_html(text) or text
    return text


def _cut_repetition(text: str, task: Task, paddle: PaddleFunctions) -> str:
    least = _TRUNCATE_FROM_CHARACTERS.get(task, _TRUNCATE_FROM_CHARACTERS_ELSE)
    return paddle.truncate_repetitive_content(text, min_count=least)


def replace_formula_delimiters(text: str) -> str:
    r"""LaTeX's `\(..\)` and `\[..\]` to Markdown's `$` and `$$`, where the text has a pair of either.

    A dollar that was printed stays, one within a formula or around it goes (PaddleX takes all of them out).

    >>> replace_formula_delimiters(r"so \(a+b\) holds for $5")
    'so  $ a+b $ holds for $5'
    """
    if not any(left in text and right in text for left, right in ((r"\(", r"\)"), (r"\[", r"\]"))):
        return text
    text = mark_written(text).replace("$", "")
    for old, new in _FORMULA_DELIMITERS:
        text = text.replace(old, new)
    return unmark(text)
