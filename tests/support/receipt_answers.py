"""An answer of `receipt`, for tests of what is done with it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from ocrvl.wire import Tensor
from ocrvl_client import Array, Request


def field(text: str, value: str | None, *box: float) -> dict[str, Any]:
    """A field as it is answered."""
    return {"text": text, "value": value, "confidence": 0.97, "box": list(box or (10, 20, 90, 40))}


def answer(**changes: Any) -> dict[str, Any]:
    """A receipt as it is answered, with these fields changed."""
    fields = {
        "company": field("Corner Café", "Corner Café", 60, 10, 240, 40),
        "address": None,
        "date": field("30.11.2026", "2026-11-30"),
        "currency": field("€", "EUR"),
        "payment": field("Visa", "card"),
        "subtotal": None,
        "tax": field("1,23", "1.23"),
        "total": field("12,40", "12.40"),
        "items": [
            {"name": field("Tea", "Tea"), "quantity": field("2x", "2"), "price": field("9,99", "9.99")},
            {"name": field("=SUM(A1)", "=SUM(A1)"), "quantity": None, "price": field("?", None)},
        ],
        **changes,
    }
    return {
        "schema_version": "1.0",
        "width": 300,
        "height": 260,
        "fields": fields,
        "checks": {"sum": "unknown"},
        "warnings": ["line 3: too long"],
        "lines": [{"text": "Corner Café", "box": [60, 10, 240, 40], "finish_reason": "stop"}],
    }


def tensors(request: Request, drawing: bytes = b"") -> dict[Tensor, Array]:
    """The answer to a request; its company is what the image's bytes say."""
    name = request.inputs[Tensor.IMAGE].item().decode("utf-8", "replace")
    return encode_answer(answer(company=field(name, name)), drawing)


def encode_answer(receipt: Mapping[str, Any], drawing: bytes = b"") -> dict[Tensor, Array]:
    """An answer as its tensors."""
    drawn = np.empty(1 if drawing else 0, dtype=object)
    drawn[:] = [drawing] if drawing else []
    return {Tensor.JSON: np.array([json.dumps(receipt).encode()], dtype=object), Tensor.IMAGE_DATA: drawn}
