"""What is answered of a receipt."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ocrvl.messages import Array, encode_texts
from ocrvl.models.drawn_boxes import LabelledBox, draw_boxes
from ocrvl.models.receipt.lines import Line, Pixels
from ocrvl.models.receipt.options import ReceiptOptions
from ocrvl.wire import Tensor, untag_message


def compose(found: Mapping[str, Any], lines: Sequence[Line], warnings: Sequence[str]) -> dict[str, Any]:
    """The answer of `fields` with the lines that it comes from, and with what is to be said of these."""
    failed = [f"line {number}: {untag_message(line.error)[1]}" for number, line in enumerate(lines, 1) if line.error]
    return {
        **found,
        "warnings": [*filter(None, warnings), *failed, *found["warnings"]],
        "lines": [
            {"text": line.text, "box": list(line.box), "finish_reason": line.finish_reason.value} for line in lines
        ],
    }


def encode_receipt(receipt: Mapping[str, Any], pixels: Pixels, options: ReceiptOptions) -> dict[Tensor, Array]:
    """The output tensors of `receipt`; the image with its fields drawn on it where that is asked for."""
    drawn = [draw_boxes(pixels, labelled_boxes(receipt["fields"]))] if options.visualize else []
    if options.base64_files:
        drawn = [base64.b64encode(file) for file in drawn]
    images = np.empty(len(drawn), dtype=object)
    images[:] = drawn
    return {Tensor.JSON: encode_texts([json.dumps(receipt, ensure_ascii=False)]), Tensor.IMAGE_DATA: images}


def labelled_boxes(fields: Mapping[str, Any]) -> Iterator[LabelledBox]:
    """The boxes of all fields that were found, items with their numbers."""
    for name, field in fields.items():
        if name == "items":
            for number, item in enumerate(field, 1):
                for part, one in item.items():
                    if one is not None:
                        yield LabelledBox(tuple(one["box"]), part, f"{number} {part}")
        elif field is not None:
            yield LabelledBox(tuple(field["box"]), name, name)
