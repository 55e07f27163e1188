"""PaddleOCR's camel case to our snake case, and our pages to its results."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from ocrvl.files import is_pdf
from ocrvl_client import Document, Page
from ocrvl_gateway.encoding import encode_base64
from ocrvl_gateway.paddle.schemas import (
    DocumentExports,
    ExportContent,
    ImageInfo,
    LayoutParsingRequest,
    LayoutParsingResult,
    MarkdownData,
    PageInfo,
    PagesInfo,
)

_NOT_OPTIONS: Final = frozenset({"file", "fileType", "logId", "visualize"})
_DRAWING = re.compile(r"page_[0-9]{4,}\.jpg")
_INPUT = re.compile(r"page_[0-9]{4,}_input\.jpg")
_LAYOUT_IMAGE: Final = "layout_det_res"
"""The service's name for a page with its blocks drawn on it."""


def snake_case(name: str) -> str:
    """A name of PaddleOCR's service as our option.

    >>> snake_case("layoutMergeBboxesMode"), snake_case("topP")
    ('layout_merge_bboxes_mode', 'top_p')
    """
    return re.sub(r"[A-Z]", lambda letter: "_" + letter[0].lower(), name)


def with_client_names(message: str) -> str:
    """A message of the server about its options, with the names that clients of the service have for them.

    >>> with_client_names("options: max_pixels: at least 784, and min_pixels is larger")
    'maxPixels: at least 784, and minPixels is larger'
    """
    return _OPTION.sub(lambda name: _CLIENT_NAMES[name[0]], message.removeprefix("options: "))


def options_of(request: LayoutParsingRequest, *, visualize: bool, max_pages: int) -> dict[str, Any]:
    """The options of a document; what is not set stays at the server's default, which is the service's."""
    sent = request.model_dump(exclude=set(_NOT_OPTIONS), exclude_none=True, exclude_unset=True)
    options = {snake_case(name): value for name, value in sent.items()}
    if visualize:
        options |= {"visualize": True, "return_page_images": True}
    return {**options, "max_pages": max_pages}


_CLIENT_NAMES: Final = {ours: name for name in LayoutParsingRequest.model_fields if (ours := snake_case(name)) != name}
_OPTION: Final = re.compile(rf"\b({'|'.join(_CLIENT_NAMES)})\b")


def result_of(page: Page, *, with_images: bool) -> LayoutParsingResult:
    """A page in the service's form; its `error` or `warning` is in `prunedResult`, with an error nothing else."""
    cropped: dict[str, str] = {}
    drawn: dict[str, str] = {}
    original = None
    for name, data in page.images.items():
        if _INPUT.fullmatch(name):
            original = encode_base64(data)
        elif _DRAWING.fullmatch(name):
            drawn[_LAYOUT_IMAGE] = encode_base64(data)
        else:
            cropped[name] = encode_base64(data)
    messages = {"error": page.error, "warning": page.warning}
    content = {**page.content, **{name: with_client_names(text) for name, text in messages.items() if text}}
    return LayoutParsingResult(
        prunedResult=content,
        markdown=MarkdownData(text=page.markdown, images=cropped if with_images else None),
        outputImages=drawn or None,
        inputImage=original,
    )


def exports_of(document: Document) -> DocumentExports | None:
    """The Word document, where it was requested."""
    if not document.docx:
        return None
    return DocumentExports(docx=ExportContent(content=encode_base64(document.docx), fileName="document.docx"))


def data_info(file: bytes, pages: Sequence[Mapping[str, Any]]) -> ImageInfo | PagesInfo:
    """What the file is: the sizes of its pages as they were read, 0 where one could not be."""
    sizes = [PageInfo(width=page.get("width") or 0, height=page.get("height") or 0) for page in pages]
    if is_pdf(file):
        return PagesInfo(numPages=len(sizes), pages=sizes, type="pdf")
    if len(sizes) > 1:
        return PagesInfo(numPages=len(sizes), pages=sizes, type="tiff")
    return ImageInfo(width=sizes[0].width, height=sizes[0].height)
