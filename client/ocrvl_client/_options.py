"""The options of requests as keyword arguments, so that an editor completes them and a type checker refuses others.

The server checks values and has the defaults; a contract test holds names and types to its own.
"""

from __future__ import annotations

from typing import Any, Literal, TypedDict

from ocrvl.wire import Task

MergeMode = Literal["union", "large", "small"]
ShapeMode = Literal["rect", "quad", "poly", "auto"]


class ReadOptions(TypedDict, total=False):
    """The options of `read`, `read_batch`, `read_many` and `stream`, the same for all images of a request."""

    max_tokens: int | None
    """Tokens generated for an image, 1 to 131,072; 4096 unless set."""
    temperature: float
    """0 to 2; 0, the default, is greedy."""
    top_p: float
    """Nucleus sampling, above 0 to 1, with a temperature above 0."""
    repetition_penalty: float
    """Above 0 to 2; 1, the default, is none."""
    seed: int | None
    """For sampling that can be repeated."""
    stop: list[str]
    """Up to 8 texts that end generation, not part of the result."""
    min_pixels: int | None
    """Width times height; smaller images are enlarged to it."""
    max_pixels: int | None
    """Width times height; larger images are reduced to it."""
    prompt: str | None
    """Sent to the model instead of the task's own prompt."""
    adapter: str | dict[Task, str] | None
    """The LoRA adapter to read with, or those of tasks, by the tasks' names."""
    json_schema: dict[str, Any] | None
    """The text is JSON that satisfies this schema. Excludes `regex`."""
    regex: str | None
    """The text matches this pattern."""
    stop_repetition: bool
    """Generation ends when the text only repeats itself (`FinishReason.REPETITION`), unless False."""
    raw: bool
    """The model's own text, without post-processing."""
    timeout_ms: int | None
    """Milliseconds after which the server ends the request."""
    cancel_token: str | None
    """Ends the request through `cancel`: 16 to 128 letters, digits and signs of `._~-`, one that nobody can guess."""
    on_error: Literal["fail", "keep"]
    """`keep`: a bad image fails alone, see `Reading.error`; `fail`, the default: it fails its request."""


class PixelLimits(TypedDict, total=False):
    """Limits of pixels, width times height, by the kind of block, where they differ from the others'."""

    ocr_min_pixels: int | None
    ocr_max_pixels: int | None
    table_min_pixels: int | None
    table_max_pixels: int | None
    chart_min_pixels: int | None
    chart_max_pixels: int | None
    formula_min_pixels: int | None
    formula_max_pixels: int | None
    seal_min_pixels: int | None
    seal_max_pixels: int | None


class LayoutOptions(TypedDict, total=False):
    """How blocks are detected; classes are positions in PP-DocLayoutV3's list of labels."""

    layout_threshold: float | dict[int, float] | None
    """Blocks of a lower score, 0 to 1, are left out: one number, or one by class."""
    layout_nms: bool | None
    """Of blocks that overlap the best is kept, unless False (non-maximum suppression)."""
    layout_unclip_ratio: float | tuple[float, float] | dict[int, tuple[float, float]] | None
    """Boxes are widened by this factor: one number, one for width and one for height, or these by class."""
    layout_merge_bboxes_mode: MergeMode | dict[int, MergeMode] | None
    """Of blocks inside each other `large` keeps the outer, `small` the inner, `union` both; or one by class."""
    layout_shape_mode: ShapeMode
    """The shape of a block, where the model knows more than a box."""


class DocumentOptions(LayoutOptions, total=False):
    """The options of `document` and `document_stream`: PaddleOCR's names in snake case, and ours."""

    pages: str | None
    """Pages from 1 on, and ranges of them, such as `1-5,8,12-`; all unless set."""
    max_pages: int | None
    """A file of more pages is refused; the server's own limit holds too."""
    dpi: int
    """Dots per inch at which pages of a PDF are drawn, 36 to 600; 144 unless set."""
    strict: bool
    """A page or block that cannot be read fails the document."""
    timeout_ms: int | None
    """Milliseconds after which the server ends the request."""
    cancel_token: str | None
    """Ends the request through `cancel`, see `ReadOptions`."""

    use_layout_detection: bool
    """False: a page is one block, see `prompt_label`."""
    prompt_label: Literal["ocr", "formula", "table", "chart", "seal", "spotting"] | None
    """What a page is, without layout detection; `ocr` unless set."""
    use_chart_recognition: bool
    """Charts become tables, else they are images."""
    use_seal_recognition: bool
    """Seals are read, else they are images."""
    use_ocr_for_image_block: bool
    """Text in images is read as well."""
    use_doc_orientation_classify: bool | None
    """Not supported: True is refused."""
    use_doc_unwarping: bool | None
    """Not supported: True is refused."""
    merge_layout_blocks: bool
    """Neighbouring blocks of one paragraph are read together, unless False."""

    adapter: str | dict[Task, str] | None
    """The LoRA adapter to read with, or those of tasks, by the tasks' names."""
    temperature: float | None
    """0 to 2; 0, the default, is greedy."""
    top_p: float | None
    """Nucleus sampling, above 0 to 1, with a temperature above 0."""
    repetition_penalty: float | None
    """Above 0 to 2; 1, the default, is none."""
    min_pixels: int | None
    """Width times height; smaller blocks are enlarged to it."""
    max_pixels: int | None
    """Width times height; larger blocks are reduced to it."""
    max_new_tokens: int | None
    """Tokens generated for a block, 1 to 131,072; 4096 unless set."""
    stop_repetition: bool
    """A block's text that only repeats itself is ended, unless False."""
    vlm_extra_args: PixelLimits
    """Limits of pixels by the kind of block."""

    format_block_content: bool
    """Contents of blocks are Markdown in `Page.content` too."""
    markdown_ignore_labels: list[str]
    """Labels of blocks that the Markdown leaves out."""
    prettify_markdown: bool
    """Images and tables are centred by HTML, unless False."""
    show_formula_number: bool
    """Formulas keep their numbers."""
    return_markdown_images: bool
    """Cropped images are sent, unless False."""
    restructure_pages: bool
    """Each page's own Markdown and content wait for the whole document's."""
    merge_tables: bool
    """Tables that go on across pages are one in the document's Markdown, unless False."""
    relevel_titles: bool
    """Titles have levels in the document's Markdown, unless False."""
    visualize: bool
    """Each page is sent as an image as well, with its blocks drawn on it."""
    return_page_images: bool
    """Each page is sent as an image as well, as it was read."""
    base64_files: bool
    """Images and the Word file come as base64 text, for callers in JSON."""
    output_formats: list[Literal["docx"]]
    """`docx`: the document for Word as well, see `Document.docx`."""


class ReceiptOptions(TypedDict, total=False):
    """The options of `receipt` and `receipts_many`."""

    max_tokens: int
    """Tokens generated for a line, 1 to 131,072; 256 unless set."""
    min_pixels: int | None
    """Width times height; smaller lines are enlarged to it."""
    max_pixels: int | None
    """Width times height; larger lines are reduced to it."""
    adapter: str | dict[Task, str] | None
    """The LoRA adapter to read with, or those of tasks, by the tasks' names."""
    stop_repetition: bool
    """A line whose text only repeats itself is ended, unless False."""
    timeout_ms: int | None
    """Milliseconds after which the server ends the request."""
    cancel_token: str | None
    """Ends the request through `cancel`, see `ReadOptions`."""
    visualize: bool
    """The image is sent as well, with its fields drawn on it, see `Receipt.drawing`."""
    base64_files: bool
    """That image comes as base64 text, for callers in JSON."""
