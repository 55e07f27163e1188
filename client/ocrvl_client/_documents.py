"""Whole documents as arrays and as what a caller works with; nothing here touches a network."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from ocrvl.wire import Model, Tensor, untag_message
from ocrvl_client._errors import decodes_responses
from ocrvl_client._messages import CANCEL_TOKEN, Array, Request, Source, bytes_array, encode_options, load_file
from ocrvl_client._tables import rows_of

PAGE_OUTPUTS: Final = (
    Tensor.PAGE_INDEX,
    Tensor.MARKDOWN,
    Tensor.JSON,
    Tensor.PAGE_ERROR,
    Tensor.PAGE_WARNING,
    Tensor.IMAGE_PAGE,
    Tensor.IMAGE_NAME,
    Tensor.IMAGE_DATA,
    Tensor.PAGES_DONE,
    Tensor.PAGES_TOTAL,
)
DOCUMENT_OUTPUTS: Final = (*PAGE_OUTPUTS, Tensor.DOCUMENT_MARKDOWN, Tensor.DOCX)


@dataclass(frozen=True)
class Block:
    """A block of a page: what it is, where, and what was read in it.

    `box` is left, top, right, bottom in pixels of the page as it was drawn; `polygon` its corners where the layout
    model knows them, else empty. `order` counts from 1 in reading order and is None for what is not in the running
    text. `text` is Markdown, a table HTML. `error` says why the block could not be read.
    """

    label: str
    box: tuple[float, float, float, float]
    text: str
    order: int | None = None
    polygon: tuple[tuple[float, float], ...] = ()
    error: str = ""

    @property
    def rows(self) -> list[list[str]]:
        """The rows of a table; a cell that spans several is repeated in each."""
        return rows_of(self.text)


@dataclass(frozen=True)
class Page:
    """A page of a document: `index` from 0 on in the file, `done` of `total` pages so far, this one included.

    `content` is the page in the schema of PaddleOCR's `prunedResult`. `images` are JPEG files by the names that
    `markdown` calls them. A page with an `error` has nothing else.
    """

    index: int
    markdown: str
    content: dict[str, Any]
    images: dict[str, bytes]
    error: str
    warning: str
    done: int
    total: int

    @property
    @decodes_responses
    def blocks(self) -> list[Block]:
        """The blocks of the page, in the order of `content`."""
        return [_block(block) for block in self.content.get("parsing_res_list", [])]


@dataclass(frozen=True)
class Document:
    """A whole document; `docx` is a file for Word where `output_formats` has it, else empty.

    `seconds` is how long the request took as its caller saw it.
    """

    markdown: str
    pages: list[Page] = field(default_factory=list)
    docx: bytes = b""
    seconds: float = field(default=0.0, compare=False)


def encode_document(file: Source, options: Mapping[str, Any], model: Model = Model.DOCUMENT) -> Request:
    """A request to `document` or `document_stream`. Raises `InvalidRequest` for what needs no server to refuse."""
    token, encoded = encode_options(options)
    outputs = DOCUMENT_OUTPUTS if model is Model.DOCUMENT else ()
    inputs = {Tensor.FILE: bytes_array([load_file(file)]), Tensor.OPTIONS: encoded}
    return Request(model, inputs, outputs, token, owns_token=CANCEL_TOKEN not in options)


@decodes_responses
def decode_document(tensors: Mapping[Tensor, Array], seconds: float = 0.0) -> Document:
    """The answer of `document`."""
    return Document(_markdown(tensors), decode_pages(tensors), _docx(tensors), seconds)


@decodes_responses
def decode_part(tensors: Mapping[Tensor, Array], seconds: float = 0.0) -> list[Page] | Document:
    """What an answer of `document_stream` carries: pages, or, the last, the document without them."""
    if Tensor.DOCUMENT_MARKDOWN in tensors:
        return Document(_markdown(tensors), [], _docx(tensors), seconds)
    return decode_pages(tensors)


def decode_pages(tensors: Mapping[Tensor, Array]) -> list[Page]:
    """The pages in an answer of `document`, or in one of those of `document_stream`."""
    images: dict[int, dict[str, bytes]] = {}
    columns = (tensors[name].tolist() for name in (Tensor.IMAGE_PAGE, Tensor.IMAGE_NAME, Tensor.IMAGE_DATA))
    for index, name, data in zip(*columns, strict=True):
        images.setdefault(index, {})[name.decode("utf-8")] = data
    rows = zip(*(tensors[name].tolist() for name in PAGE_OUTPUTS[:5]), strict=True)
    return [
        Page(
            index=index,
            markdown=markdown.decode("utf-8"),
            content=dict(json.loads(content)),
            images=images.get(index, {}),
            error=untag_message(error.decode("utf-8"))[1],
            warning=warning.decode("utf-8"),
            done=int(tensors[Tensor.PAGES_DONE].item()),
            total=int(tensors[Tensor.PAGES_TOTAL].item()),
        )
        for index, markdown, content, error, warning in rows
    ]


def _block(block: Mapping[str, Any]) -> Block:
    left, top, right, bottom = (float(side) for side in block["block_bbox"])
    return Block(
        label=block["block_label"],
        box=(left, top, right, bottom),
        text=block["block_content"],
        order=block.get("block_order"),
        polygon=tuple((float(x), float(y)) for x, y in block.get("block_polygon_points") or ()),
        error=untag_message(block.get("error", ""))[1],
    )


def _markdown(tensors: Mapping[Tensor, Array]) -> str:
    return str(tensors[Tensor.DOCUMENT_MARKDOWN].item().decode("utf-8"))


def _docx(tensors: Mapping[Tensor, Array]) -> bytes:
    return bytes(tensors[Tensor.DOCX].item())
