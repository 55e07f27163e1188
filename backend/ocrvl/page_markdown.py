"""A page of PaddleX's result as Markdown, JSON and Word, with what is printed escaped: for `document` and the gateway.

PaddleX puts texts into Markdown and HTML as they are. What becomes of each kind of block stays PaddleX's; only the text
that it is handed is escaped.
"""

from __future__ import annotations

import io
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from copy import copy
from functools import partial
from pathlib import Path
from typing import Any, Final

from ocrvl.markup import PRINTED_DOLLAR, escape_html, escape_markdown, mark_shown, unmark

_TITLES: Final = {"doc_title", "paragraph_title", "abstract_title", "reference_title", "content_title"}
_CENTRED: Final = {"table_title", "figure_title", "chart_title"}
"""Labels whose texts PaddleX puts between HTML's tags, on one line."""

_MARKUP: Final = {"formula", "display_formula", "inline_formula"}
"""Labels whose texts are no print."""

_MARK: Final = PRINTED_DOLLAR.encode()

Handler = Callable[[Any], str]


def to_markdown(result: Any, *, pretty: bool, show_formula_number: bool, is_print: bool = True) -> dict[str, Any]:
    """PaddleX's `_to_markdown`, with what is printed escaped: `markdown_texts`, and `markdown_images` by name.

    Texts are what is printed, unless `is_print` says that they are Markdown.
    """
    from paddlex.inference.common.result.converter import MarkdownConverter

    converted: dict[str, Any] = MarkdownConverter.convert(
        result["parsing_res_list"],
        handle_funcs_dict=_handlers(result, pretty) if is_print else result._build_handle_funcs_dict(pretty=pretty),
        show_formula_number=show_formula_number,
        imgs_in_doc=result["imgs_in_doc"],
    )
    return converted


def to_json(result: Any) -> dict[str, Any]:
    """PaddleX's JSON of a page, its texts as they were printed; with `format_block_content` as in the Markdown."""
    whole: dict[str, Any] = result.json["res"]
    handlers = _handlers(result, pretty=True) if result["model_settings"].get("format_block_content") else {}
    for block, described in zip(result["parsing_res_list"], whole["parsing_res_list"], strict=True):
        handler = handlers.get(block.label)
        described["block_content"] = handler(block) if handler else unmark(block.content)
    return whole


def to_word(result: Any) -> bytes:
    """PaddleX's file for Word. What lies between two printed dollars is no formula in it."""
    blocks = result["parsing_res_list"]
    result["parsing_res_list"] = [_with(block, mark_shown(block.content)) for block in blocks]
    try:
        with tempfile.TemporaryDirectory(prefix="ocrvl-docx-") as folder:
            result.save_to_word(folder)
            return _unmark_word(next(Path(folder).glob("*.docx")).read_bytes())
    finally:
        result["parsing_res_list"] = blocks


def _unmark_word(file: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(file)) as written, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as unmarked:
        for entry in written.infolist():
            data = written.read(entry)
            unmarked.writestr(entry, data.replace(_MARK, b"$") if entry.filename.endswith(".xml") else data)
    return out.getvalue()


def _handlers(result: Any, pretty: bool) -> Mapping[str, Handler]:
    """What PaddleX makes of a block, by its label, of a text that is escaped."""
    settings = result["model_settings"]
    centred = _CENTRED if pretty else set()
    if pretty and not settings.get("use_layout_detection"):
        centred = centred | {"seal"}
    handlers: Mapping[str, Handler] = result._build_handle_funcs_dict(pretty=pretty)
    return {
        label: partial(_handle, handler=handler, escape=_escaping(label, label in centred, settings))
        for label, handler in handlers.items()
    }


def _escaping(label: str, is_centred: bool, settings: Mapping[str, Any]) -> Callable[[str], str]:
    if label in _MARKUP:
        return unmark
    if label == "table":
        return _escape_table
    if is_centred or (label == "chart" and settings.get("use_chart_recognition")):
        return escape_html
    return partial(escape_markdown, title=label in _TITLES)


def _escape_table(content: str) -> str:
    """A table has been escaped by PaddleX; what is none is the model's own words."""
    return unmark(content) if "<table" in content else escape_markdown(content)


def _handle(block: Any, *, handler: Handler, escape: Callable[[str], str]) -> str:
    return handler(_with(block, escape(mark_shown(block.content))))


def _with(block: Any, content: str) -> Any:
    other = copy(block)
    other.content = content
    return other
