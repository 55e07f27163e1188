"""The model's own words to what a caller wants, by task: PaddleOCR's own code and rules, from PaddleX."""

from __future__ import annotations

import json
from typing import Any, Protocol

from ocrvl.wire import Task

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


def postprocess_text(text: str, task: Task, size: tuple[int, int], paddle: PaddleFunctions) -> str:
    """What PaddleOCR makes of the model's words, except that spotting keeps its boxes.

    Runaway repetition is cut, formula delimiters become `$` and `$$`, tables (OTSL) HTML. Spotting becomes a JSON
    object with `rec_texts` and `rec_polys` (four corners each, in pixels of the picture as it was sent, whose
    width and height `size` gives).
    """
    least = _TRUNCATE_FROM_CHARACTERS.get(task, _TRUNCATE_FROM_CHARACTERS_ELSE)
    text = paddle.truncate_repetitive_content(text, min_count=least)
    if task is Task.SPOTTING:
        _, found = paddle.post_process_for_spotting(text, *size)
        return json.dumps(found, ensure_ascii=False)
    text = replace_formula_delimiters(text)
    if task is Task.TABLE:
        return paddle.convert_otsl_to_html(text) or text
    return text


def replace_formula_delimiters(text: str) -> str:
    r"""LaTeX's `\(..\)` and `\[..\]` to Markdown's `$` and `$$`, where the text has a pair of either.

    >>> replace_formula_delimiters(r"so \(a+b\) holds")
    'so  $ a+b $ holds'
    """
    if not any(left in text and right in text for left, right in ((r"\(", r"\)"), (r"\[", r"\]"))):
        return text
    text = text.replace("$", "")
    for old, new in _FORMULA_DELIMITERS:
        text = text.replace(old, new)
    return text
