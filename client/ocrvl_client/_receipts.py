"""Receipts as arrays and as what a caller works with; nothing here touches a network."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any, Final, Generic, Literal, TypeVar

from ocrvl.wire import FinishReason, Model, Tensor
from ocrvl_client._errors import InvalidRequest, OcrvlError, decodes_responses
from ocrvl_client._messages import CANCEL_TOKEN, Array, Request, Source, bytes_array, encode_options, load_file

RECEIPT_OUTPUTS: Final = (Tensor.JSON, Tensor.IMAGE_DATA)

T = TypeVar("T")

Box = tuple[float, float, float, float]
"""Left, top, right, bottom in pixels of the upright image."""


@dataclass(frozen=True)
class ReceiptField(Generic[T]):
    """A field: its text as printed, its value, None where the text can mean several or none, and where it stands.

    `confidence` is the model's mean probability for its words, 0 to 1.
    """

    text: str
    value: T | None
    confidence: float
    box: Box


@dataclass(frozen=True)
class ReceiptItem:
    """One thing that was sold; `price` is what all of it costs, negative for a discount."""

    name: ReceiptField[str]
    quantity: ReceiptField[Decimal] | None
    price: ReceiptField[Decimal] | None


@dataclass(frozen=True)
class ReceiptLine:
    """A line of text as it was read."""

    text: str
    box: Box
    finish_reason: FinishReason


@dataclass(frozen=True)
class Receipt:
    """The fields of a receipt, None for what was not found.

    `currency` is an ISO 4217 code. `sum_check` is whether the items, with or without the tax, add up to the total: a
    flag, nothing is corrected by it. `json` is the answer as it was received (`receipt-1.0.json`). `drawing` is a JPEG
    file of the image with its fields on it where `visualize` has asked for it, else empty. `seconds` is how long the
    request took as its caller saw it.
    """

    company: ReceiptField[str] | None
    address: ReceiptField[str] | None
    date: ReceiptField[date] | None
    currency: ReceiptField[str] | None
    payment: ReceiptField[str] | None
    subtotal: ReceiptField[Decimal] | None
    tax: ReceiptField[Decimal] | None
    total: ReceiptField[Decimal] | None
    items: tuple[ReceiptItem, ...]
    sum_check: Literal["ok", "mismatch", "unknown"]
    warnings: tuple[str, ...]
    lines: tuple[ReceiptLine, ...]
    json: dict[str, Any] = field(repr=False)
    drawing: bytes = field(default=b"", repr=False)
    seconds: float = field(default=0.0, compare=False)


@dataclass(frozen=True)
class ReceiptOutcome:
    """What became of one of many receipts: the `index`-th that was given; its fields, or the error instead."""

    index: int
    source: Source
    receipt: Receipt | None = None
    error: OcrvlError | None = None

    def result(self) -> Receipt:
        """The receipt. Raises the error where there is none."""
        if self.receipt is None:
            raise self.error or InvalidRequest(f"receipt {self.index}: it was not read")
        return self.receipt


def encode_receipt(image: Source, options: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Request:
    """A request to `receipt`, with headers of its own. Raises `InvalidRequest` for what needs no server to refuse."""
    token, encoded = encode_options(options)
    inputs = {Tensor.IMAGE: bytes_array([load_file(image)]), Tensor.OPTIONS: encoded}
    return Request(Model.RECEIPT, inputs, RECEIPT_OUTPUTS, token, CANCEL_TOKEN not in options, dict(headers or {}))


@decodes_responses
def decode_receipt(tensors: Mapping[Tensor, Array], seconds: float = 0.0) -> Receipt:
    """The answer of `receipt`."""
    answer = json.loads(tensors[Tensor.JSON].item())
    fields = answer["fields"]
    return Receipt(
        company=_field(fields["company"], str),
        address=_field(fields["address"], str),
        date=_field(fields["date"], date.fromisoformat),
        currency=_field(fields["currency"], str),
        payment=_field(fields["payment"], str),
        subtotal=_field(fields["subtotal"], Decimal),
        tax=_field(fields["tax"], Decimal),
        total=_field(fields["total"], Decimal),
        items=tuple(map(_item, fields["items"])),
        sum_check=answer["checks"]["sum"],
        warnings=tuple(answer["warnings"]),
        lines=tuple(ReceiptLine(one["text"], _box(one), FinishReason(one["finish_reason"])) for one in answer["lines"]),
        json=answer,
        drawing=b"".join(tensors[Tensor.IMAGE_DATA].tolist()) if Tensor.IMAGE_DATA in tensors else b"",
        seconds=seconds,
    )


def _field(found: Mapping[str, Any] | None, parse: Callable[[str], T]) -> ReceiptField[T] | None:
    if found is None:
        return None
    value = None if found["value"] is None else parse(found["value"])
    return ReceiptField(found["text"], value, float(found["confidence"]), _box(found))


def _item(found: Mapping[str, Any]) -> ReceiptItem:
    name = _field(found["name"], str)
    if name is None:
        raise ValueError("an item without a name")
    return ReceiptItem(name, _field(found["quantity"], Decimal), _field(found["price"], Decimal))


def _box(found: Mapping[str, Any]) -> Box:
    left, top, right, bottom = map(float, found["box"])
    return left, top, right, bottom
