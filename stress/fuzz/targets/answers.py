"""`ocrvl_client`: answers of a server, or of what stands in its place."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ocrvl.wire import FinishReason, Tensor
from ocrvl_client import OcrvlError, Page, Reading
from ocrvl_client._documents import decode_part
from ocrvl_client._readings import decode_piece
from ocrvl_client._tables import rows_of
from ocrvl_client._transports.generate import decode_event, decode_refusal
from stress.fuzz.target import Target

_DECODERS: Sequence[Callable[[Mapping[Tensor, Any]], Any]] = (decode_piece, decode_part)


def check(data: bytes) -> None:
    """An answer is read, or the error is one of the client's own; what was read can be looked at."""
    assert isinstance(decode_refusal(500, data), OcrvlError)
    text = data.decode("utf-8", "ignore")
    rows_of(text)
    for spot in Reading(text, FinishReason.STOP, 1, 1).spots:
        assert isinstance(spot.text, str)
    for line in data.split(b"\n"):
        for decode in _DECODERS:
            try:
                tensors = decode_event(line)
                found = None if tensors is None else decode(tensors)
                for page in found if isinstance(found, list) else []:
                    if isinstance(page, Page):
                        assert all(isinstance(block.rows, list) for block in page.blocks)
            except OcrvlError:
                continue


def seeds() -> Sequence[bytes]:
    """Events of `ocr_stream` and `document_stream`, an error, a table and a spotting."""
    model = {"model_name": "ocr_stream", "model_version": "1"}
    last = {"text": "", "full_text": "Soup", "finish_reason": "stop", "num_input_tokens": 3, "num_output_tokens": 2}
    block = {"block_label": "text", "block_content": "Tea", "block_bbox": [0, 0, 9, 9], "block_order": 1}
    pages = {
        "page_index": 0,
        "markdown": "Tea",
        "json": json.dumps({"parsing_res_list": [block]}),
        "page_error": "",
        "page_warning": "",
        "image_page": 0,
        "image_name": "a.jpg",
        "image_data": "AAAA",
        "pages_done": 1,
        "pages_total": 1,
    }
    events = (
        {**model, "index": 0, "text": "So"},
        {**model, **last, "index": 0, "error": "", "warning": ""},
        {**model, **last, "index": 0, "error": "[INVALID_ARG] image 0: it has no bytes", "warning": ""},
        {**model, **pages},
        {**model, "document_markdown": "Tea", "docx": ""},
        {"error": "[UNAVAILABLE] full"},
    )
    table = b'<table><tr><td rowspan="2">a</td><th colspan="3">b</th></tr></table><!-- c --><![CDATA[x]]>'
    spots = b'{"rec_texts": ["Tea"], "rec_polys": [[[0, 0], [9, 0], [9, 5], [0, 5]]]}'
    return [b"data: " + json.dumps(event).encode() for event in events] + [table, spots]


_WORDS = ("data:", "<table>", "<tr>", "<td", "rowspan=", "colspan=", "<![", "]]>", "<!--", "\\ud800", "1e999", "null")

TARGET = Target(check, seeds, [*_WORDS, *(f'"{name}":' for name in Tensor)], max_bytes=2048)
