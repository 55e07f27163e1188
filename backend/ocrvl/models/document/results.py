"""What is sent back of a document, and how."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from ocrvl.messages import Array, encode_texts
from ocrvl.models.document.options import DocumentOptions
from ocrvl.models.document.paddle import PageResult
from ocrvl.models.drawn_boxes import LabelledBox, draw_boxes, encode_jpeg
from ocrvl.wire import Tensor


@dataclass(frozen=True)
class Page:
    """A page that is done: `index` from 0 on in the file. With an `error` it has nothing else.

    `images` are JPEG files by the names that `markdown` calls them; `content` is the page in the schema of PaddleOCR's
    `prunedResult`.
    """

    index: int
    markdown: str = ""
    content: Mapping[str, Any] = field(default_factory=dict)
    images: Mapping[str, bytes] = field(default_factory=dict)
    error: str = ""
    warning: str = ""
    result: PageResult | None = None

    @property
    def has_errors(self) -> bool:
        """Whether it, or a block of it, could not be read."""
        return bool(self.error or (self.result and self.result.errors))

    def what_is_missing(self, options: DocumentOptions) -> str:
        """Why its Markdown is empty; empty where it is not."""
        if self.markdown.strip():
            return ""
        blocks = self.content.get("parsing_res_list", [])
        labels = {block["block_label"] for block in blocks if block["block_content"].strip()}
        if left_out := sorted(labels & set(options.markdown_ignore_labels)):
            return f"the Markdown leaves out all that was read: {', '.join(left_out)} (markdown_ignore_labels)"
        return "nothing was read on the page"


def encode_pages(pages: Sequence[Page], done: int, total: int) -> dict[Tensor, Array]:
    """Pages as the tensors of `document` and `document_stream`: one element a page, one an image, progress."""
    images = [(page.index, name, data) for page in pages for name, data in page.images.items()]
    data = np.empty(len(images), dtype=object)
    data[:] = [file for _, _, file in images]
    return {
        Tensor.PAGE_INDEX: np.array([page.index for page in pages], np.int32),
        Tensor.MARKDOWN: encode_texts([page.markdown for page in pages]),
        Tensor.JSON: encode_texts([json.dumps(page.content, ensure_ascii=False) for page in pages]),
        Tensor.PAGE_ERROR: encode_texts([page.error for page in pages]),
        Tensor.PAGE_WARNING: encode_texts([page.warning for page in pages]),
        Tensor.IMAGE_PAGE: np.array([index for index, _, _ in images], np.int32),
        Tensor.IMAGE_NAME: encode_texts([name for _, name, _ in images]),
        Tensor.IMAGE_DATA: data,
        Tensor.PAGES_DONE: np.array([done], np.int32),
        Tensor.PAGES_TOTAL: np.array([total], np.int32),
    }


def encode_whole(markdown: str, docx: bytes) -> dict[Tensor, Array]:
    """What belongs to the document as a whole."""
    word = np.empty(1, dtype=object)
    word[0] = docx
    return {Tensor.DOCUMENT_MARKDOWN: encode_texts([markdown]), Tensor.DOCX: word}


def files_as_base64(tensors: Mapping[Tensor, Array]) -> dict[Tensor, Array]:
    """The same with every file as base64 text: JSON has no bytes."""
    files = {name: tensors[name] for name in (Tensor.IMAGE_DATA, Tensor.DOCX) if name in tensors}
    return {
        **tensors,
        **{name: encode_texts([base64.b64encode(file).decode() for file in array]) for name, array in files.items()},
    }


def finish_page(result: PageResult, pixels: npt.NDArray[np.uint8], options: DocumentOptions, index: int) -> Page:
    """A page as it is sent, with the images that are asked for; `pixels` are its own, uint8 [height, width, 3]."""
    content = result.pruned()
    images = {}
    if options.return_markdown_images:
        images = {name: encode_jpeg(image) for name, image in result.images(options).items()}
    if options.visualize:
        images[f"page_{index + 1:04d}.jpg"] = draw_blocks(pixels, content["parsing_res_list"])
    if options.return_page_images:
        images[f"page_{index + 1:04d}_input.jpg"] = encode_jpeg(Image.fromarray(pixels))
    markdown = result.markdown(options)
    if "docx" not in options.output_formats:
        result.forget_images()
    return Page(index, markdown, content, images, warning=join_warnings(*result.warnings), result=result)


def join_warnings(*warnings: str) -> str:
    """Those that say something, as one."""
    return "; ".join(filter(None, warnings))


def draw_blocks(pixels: npt.NDArray[np.uint8], blocks: Sequence[Mapping[str, Any]]) -> bytes:
    """A page as a JPEG file, with a box, a number in reading order and a label for each block of its JSON."""
    labels = [block["block_label"] for block in blocks]
    return draw_boxes(
        pixels,
        [
            LabelledBox(tuple(block["block_bbox"]), label, f"{number} {label}")
            for number, (block, label) in enumerate(zip(blocks, labels, strict=True), 1)
        ],
    )
