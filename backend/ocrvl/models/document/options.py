"""What a request for a document may ask for: PaddleOCR's request options in snake case, and ours."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from ocrvl.errors import InvalidArgument
from ocrvl.models.layout_options import LayoutOptions
from ocrvl.options import AdapterChoice, CancelToken, parse_object
from ocrvl.prompts import find_task
from ocrvl.wire import Task, check_pages

MIN_DPI, MAX_DPI = 36, 600

Pixels = Annotated[int, Field(ge=784, le=16_777_216)]


class PixelLimits(BaseModel):
    """Limits of pixels by the kind of block, where they differ (`vlm_extra_args` of PaddleOCR)."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    ocr_min_pixels: Pixels | None = None
    ocr_max_pixels: Pixels | None = None
    table_min_pixels: Pixels | None = None
    table_max_pixels: Pixels | None = None
    chart_min_pixels: Pixels | None = None
    chart_max_pixels: Pixels | None = None
    formula_min_pixels: Pixels | None = None
    formula_max_pixels: Pixels | None = None
    seal_min_pixels: Pixels | None = None
    seal_max_pixels: Pixels | None = None


class DocumentOptions(LayoutOptions):
    """The options of a document. Defaults are those of PaddleOCR-VL-1.6's pipeline and service (PaddleX 3.7)."""

    pages: Annotated[str, StringConstraints(max_length=1024), AfterValidator(check_pages)] | None = Field(
        None, description="which pages, from 1 on: `1-5,8,12-`"
    )
    max_pages: int | None = Field(None, ge=1, description="more are refused; the server's limit holds too")
    dpi: int = Field(144, ge=MIN_DPI, le=MAX_DPI, description="dots an inch at which a PDF is drawn")
    strict: bool = Field(False, description="a page or block that cannot be read fails the document")
    timeout_ms: int | None = Field(None, ge=1, le=86_400_000, description="the request is ended after this time")
    cancel_token: CancelToken | None = Field(None, description="ends the request through the model `cancel`")

    use_layout_detection: bool = Field(True, description="`false`: a page is one block, see `prompt_label`")
    prompt_label: Literal["ocr", "formula", "table", "chart", "seal", "spotting"] | None = Field(
        None, description="what a page is, without layout detection"
    )
    use_chart_recognition: bool = Field(False, description="charts become tables, not images")
    use_seal_recognition: bool = Field(False, description="seals become text, not images")
    use_ocr_for_image_block: bool = Field(False, description="text in images is read too")
    use_doc_orientation_classify: bool | None = Field(None, description="`true` is refused")
    use_doc_unwarping: bool | None = Field(None, description="`true` is refused")
    merge_layout_blocks: bool = Field(True, description="neighbouring blocks of a paragraph are read together")

    adapter: AdapterChoice | None = Field(
        None, description="the LoRA adapter to read with, or an object of adapters by task"
    )
    temperature: float | None = Field(None, ge=0, le=2, description="0 is greedy")
    top_p: float | None = Field(None, gt=0, le=1, description="nucleus sampling, with a temperature above 0")
    repetition_penalty: float | None = Field(None, gt=0, le=2, description="1 is none")
    min_pixels: Pixels | None = Field(None, description="smaller blocks are enlarged to it")
    max_pixels: Pixels | None = Field(None, description="larger blocks are reduced to it")
    max_new_tokens: int | None = Field(None, ge=1, le=131_072, description="tokens of a block")
    stop_repetition: bool = Field(True, description="a text that only repeats itself is ended")
    vlm_extra_args: PixelLimits = Field(
        PixelLimits(),
        description="limits of pixels by kind of block: `{ocr,table,chart,formula,seal}_{min,max}_pixels`",
    )

    format_block_content: bool = Field(False, description="the JSON has blocks as the Markdown has them")
    markdown_ignore_labels: list[str] = Field(
        ["number", "footnote", "header", "header_image", "footer", "footer_image", "aside_text"],
        max_length=64,
        description="labels that the Markdown leaves out",
    )
    prettify_markdown: bool = Field(True, description="images and tables are centred by HTML")
    show_formula_number: bool = Field(False, description="formulas keep their numbers")
    return_markdown_images: bool = Field(True, description="cropped images are sent")
    restructure_pages: bool = Field(
        False, description="pages are sent at the end, with the document's titles and tables"
    )
    merge_tables: bool = Field(True, description="tables go on across pages of the document's Markdown")
    relevel_titles: bool = Field(True, description="titles of the document's Markdown have levels")
    visualize: bool = Field(False, description="pages are sent as images with their blocks drawn on them")
    return_page_images: bool = Field(False, description="pages are sent as images, as they were read")
    base64_files: bool = Field(False, description="images and the Word file come as base64 text, for JSON")
    output_formats: list[Literal["docx"]] = Field([], max_length=1, description="`docx`: the document for Word as well")

    @model_validator(mode="after")
    def _check(self) -> DocumentOptions:
        for name in ("use_doc_orientation_classify", "use_doc_unwarping"):
            if getattr(self, name):
                raise ValueError(f"{name}: this server has no model for it; turn the pages before you send them")
        if self.prompt_label and self.use_layout_detection:
            raise ValueError("prompt_label: goes with use_layout_detection false")
        if self.min_pixels and self.max_pixels and self.min_pixels > self.max_pixels:
            raise ValueError(f"min_pixels ({self.min_pixels}) is larger than max_pixels ({self.max_pixels})")
        return self

    @property
    def layout(self) -> LayoutOptions:
        """Those for the layout model."""
        return LayoutOptions(**{name: getattr(self, name) for name in LayoutOptions.model_fields})

    @property
    def model_settings(self) -> dict[str, Any]:
        """As PaddleOCR's results carry them."""
        label = self.prompt_label
        return {
            "use_doc_preprocessor": False,
            "use_layout_detection": self.use_layout_detection,
            "use_chart_recognition": self.use_chart_recognition or label == "chart",
            "use_seal_recognition": self.use_seal_recognition or label == "seal",
            "use_ocr_for_image_block": self.use_ocr_for_image_block,
            "format_block_content": self.format_block_content,
            "merge_layout_blocks": self.merge_layout_blocks,
            "markdown_ignore_labels": list(self.markdown_ignore_labels),
            "return_layout_polygon_points": self.layout_shape_mode != "rect",
        }


def parse_document_options(raw: bytes | None) -> DocumentOptions:
    """The options of a request for a document. Raises `InvalidArgument` naming the key and what it may be."""
    return parse_object(DocumentOptions, raw)


def choose_pages(pages: str | None, count: int, limit: int) -> list[int]:
    """Indices, from 0 on, of the pages that a file of `count` pages is asked for, each once and in order.

    Raises `InvalidArgument` where a page is not found, or they are more than `limit`.

    >>> choose_pages("1-3,5,8-", 9, 100)
    [0, 1, 2, 4, 7, 8]
    """
    ranges = []
    for part in pages.split(",") if pages else ["1-"]:
        first, dash, last = part.partition("-")
        start, stop = int(first), int(last) if last else (count if dash else int(first))
        if start > count or stop > count:
            raise InvalidArgument(f"options: pages: {part!r} not found, the file has {count} pages")
        if stop < start:
            raise InvalidArgument(f"options: pages: {part!r} ends before it begins")
        ranges.append(range(start - 1, stop))
    # counted before they are listed: a file may say that it has a million pages, and the option each of them many times
    chosen = _without_overlaps(ranges)
    if (number := sum(map(len, chosen))) > limit:
        raise InvalidArgument(
            f"{number} pages, at most {limit} are read in one request: ask for some of them with the option pages"
        )
    return list(chain.from_iterable(chosen))


def _without_overlaps(ranges: Sequence[range]) -> list[range]:
    """The same numbers, each once and in order."""
    parts: list[range] = []
    stop = 0
    for one in sorted(ranges, key=lambda one: one.start):
        parts.append(range(max(one.start, stop), one.stop))
        stop = max(stop, one.stop)
    return parts


def task_of(query: str) -> Task:
    """The task of a prompt as PaddleOCR's pipeline writes it."""
    task = find_task(query.rstrip())
    if task is None:
        raise ValueError(f"PaddleOCR's pipeline sends a prompt of no task: {query!r}")
    return task
