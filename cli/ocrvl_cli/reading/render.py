"""Results as text, Markdown and JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ocrvl.markup import escape_markdown, mark_shown
from ocrvl.wire import Task
from ocrvl_cli.reading.read_plan import Format
from ocrvl_cli.terminal import dump_json, printable

if TYPE_CHECKING:
    from ocrvl_client import Document, Page, Reading


def render_reading(reading: Reading, name: str, format: Format, task: Task) -> str:  # noqa: A002
    """What was read of an image as a whole; a table is HTML in all formats."""
    match format:
        case Format.MARKDOWN:
            return _markdown(reading.text, task)
        case Format.HTML:
            return _page(_markdown(reading.text, task), name, [])
        case Format.JSON:
            return dump_json({"file": name, **asdict(reading)})
        case _:
            return reading.text


def render_document(document: Document, pages: Sequence[Page], name: str, format: Format) -> str:  # noqa: A002
    """What was read of a document. Text is all that stands on its pages, what Markdown leaves out as well."""
    match format:
        case Format.MARKDOWN:
            return document.markdown
        case Format.HTML:
            return _page(document.markdown, name, pages)
        case Format.JSON:
            content = {"file": name, "markdown": document.markdown, "pages": describe_pages(pages)}
            return dump_json(content)
        case _:
            return "\n\n".join(text for page in pages for block in page.blocks if (text := _plain(block)))


def describe_pages(pages: Sequence[Page]) -> list[dict[str, Any]]:
    """Pages in the schema of PaddleOCR's `prunedResult`, with their numbers from 0 on and their errors."""
    return [{"page_index": page.index, "error": page.error, **page.content} for page in pages]


def _markdown(text: str, task: Task) -> str:
    is_table = task is Task.TABLE and text.startswith("<table")
    return text if is_table else escape_markdown(mark_shown(text))


def _plain(block: Any) -> str:
    """A block's text; a table's cells with tabs between them."""
    if block.rows:
        return "\n".join("\t".join(row) for row in block.rows)
    return str(block.text).strip()


def _page(markdown: str, name: str, pages: Sequence[Page]) -> str:
    # its libraries are imported only for HTML
    from ocrvl_cli.reading.html import render_page

    images = {image: data for page in pages for image, data in page.images.items()}
    return render_page(markdown, printable(name), images)
