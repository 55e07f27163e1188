"""`ocrvl.postprocess`: PaddleX's rules on what a model may write."""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence

from ocrvl.postprocess import (
    MAX_CELLS,
    PaddleFunctions,
    TableSize,
    load_paddle_functions,
    postprocess_text,
    replace_formula_delimiters,
)
from ocrvl.wire import Task
from stress.fuzz.target import Target


@functools.cache
def _paddle() -> PaddleFunctions:
    return load_paddle_functions()


def check(data: bytes) -> None:
    """A text, after a byte for its task, is made into what it may be, or left as it is with a word."""
    if not data:
        return
    task = list(Task)[data[0] % len(Task)]
    text = data[1:].decode("utf-8", "replace")
    done, warning = postprocess_text(text, task, (640, 480), _paddle())
    if warning:
        assert done == text
        return
    if task is Task.SPOTTING:
        found = json.loads(done)
        assert len(found["rec_texts"]) == len(found["rec_polys"])
    if task is Task.TABLE and done.startswith("<table><tr>") and "<t" not in text:
        assert done.count("<td") <= MAX_CELLS
        assert done.count("<tr>") <= TableSize.of(replace_formula_delimiters(text)).rows


def seeds() -> Sequence[bytes]:
    """A table, one with spans, one that is padded, a formula, places, a text that repeats itself."""
    corners = "".join(f"<|LOC_{place}|>" for place in (0, 0, 500, 0, 500, 250, 0, 250))
    texts = {
        Task.TABLE: [
            "<fcel>Tea<fcel>2<nl><fcel>a<lcel><nl><ucel><xcel>",
            "<ecel>" * 30 + "<fcel>x" + "<nl><ecel>" * 30,
        ],
        Task.FORMULA: [r"\[ E = mc^2 \] and \(a\) for $5"],
        Task.SPOTTING: [f"Tea{corners}", f"<|TEXT_START|>Tea<|TEXT_END|><|LOC_BEGIN|>{corners}<|LOC_END|>"],
        Task.OCR: ["so " * 40, "a line\n" * 20],
    }
    return [bytes([list(Task).index(task)]) + text.encode() for task, many in texts.items() for text in many]


_TAGS = ["<fcel>", "<ecel>", "<lcel>", "<ucel>", "<xcel>", "<nl>"]
_MARKS = ["<|TEXT_START|>", "<|TEXT_END|>", "<|LOC_BEGIN|>", "<|LOC_END|>", "<|LOC_12|>"]

TARGET = Target(check, seeds, [*_TAGS, *_MARKS, "\\(", "\\)", "\\[", "\\]"], max_bytes=16384)
