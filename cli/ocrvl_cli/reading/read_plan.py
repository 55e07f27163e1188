"""How each input is read, and what its results are written as."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Final

from ocrvl.files import kind_of_sent
from ocrvl.wire import Task


class Format(StrEnum):
    """What results are written as."""

    TEXT = "text"
    MARKDOWN = "markdown"
    JSON = "json"
    HTML = "html"
    CSV = "csv"

    @property
    def suffix(self) -> str:
        """The suffix of a file in this format."""
        return _SUFFIXES[self]


_SUFFIXES: Final = {
    Format.TEXT: ".txt",
    Format.MARKDOWN: ".md",
    Format.JSON: ".json",
    Format.HTML: ".html",
    Format.CSV: ".csv",
}

DOCX_SUFFIX: Final = ".docx"
DRAWING_SUFFIX: Final = ".fields.jpg"
"""Of a receipt with its fields drawn on it: no image that is read is called so."""

RECEIPT_FORMATS: Final = (Format.TEXT, Format.JSON, Format.CSV)
"""What receipts are written as. CSV is two tables of all receipts, made from their JSON."""

RESULT_SUFFIXES: Final = frozenset((*_SUFFIXES.values(), DOCX_SUFFIX))
"""Of the files that an input's text is in, and not its images."""


@dataclass(frozen=True)
class ReadPlan:
    """The command's options; None and empty where that depends on the input.

    `layout` finds the blocks of a page first and reads each as what it is; without it an image or page is read as a
    whole, with `task`. With `receipt` the fields of receipts are found. `to_files` is whether results become files.
    """

    to_files: bool = False
    formats: tuple[Format, ...] = ()
    layout: bool | None = None
    task: Task | None = None
    receipt: bool = False
    draw: bool | None = None
    pages: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)

    def for_file(self, data: bytes) -> InputPlan:
        """The plan of a file with these bytes."""
        if self.receipt:
            return self._for_receipt()
        is_pdf = kind_of_sent(data) == "PDF"
        layout = self.layout
        if layout is None:
            wants = (
                self.draw or {Format.MARKDOWN, Format.HTML} & set(self.formats) or (self.to_files and not self.formats)
            )
            layout = self.task is None and bool(is_pdf or wants)
        formats = self.formats
        if not formats and layout:
            formats = (Format.MARKDOWN, Format.JSON) if self.to_files else (Format.MARKDOWN,)
        draw = self.draw if self.draw is not None else self.to_files and layout and not self.formats
        return InputPlan(is_pdf or layout, layout, formats or (Format.TEXT,), self.task or Task.OCR, draw)

    @property
    def tables(self) -> bool:
        """Whether tables are made of all the receipts that are written to the folder."""
        return self.receipt and self.to_files and (Format.CSV in self.formats or not self.formats)

    def _for_receipt(self) -> InputPlan:
        formats = self.formats or ((Format.JSON,) if self.to_files else (Format.TEXT,))
        if self.to_files and Format.CSV in formats:
            # the tables are made of it
            formats = tuple(dict.fromkeys((*(one for one in formats if one is not Format.CSV), Format.JSON)))
        draw = self.draw if self.draw is not None else self.to_files and not self.formats
        return InputPlan(False, False, formats, Task.OCR, draw, receipt=True)

    def document_options(self, one: InputPlan) -> dict[str, Any]:
        """The options of a request to `document`."""
        options: dict[str, Any] = {
            "visualize": one.draw,
            # images are part of Markdown files and of pages in HTML, on a screen they are not seen
            "return_markdown_images": Format.HTML in one.formats or (self.to_files and Format.MARKDOWN in one.formats),
        }
        if not one.layout:
            options |= {"use_layout_detection": False, "prompt_label": one.task.value}
        if self.pages:
            options["pages"] = self.pages
        return {**options, **self.options}

    @property
    def digest(self) -> str:
        """The same for the same options; another one means that a file has to be read again."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True, default=dict).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class InputPlan:
    """How one input is read. `document`: page by page; `receipt`: its fields."""

    document: bool
    layout: bool
    formats: tuple[Format, ...]
    task: Task
    draw: bool
    receipt: bool = False
