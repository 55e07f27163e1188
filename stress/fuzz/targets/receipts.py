"""`ocrvl_gateway.receipts`: the body of `/receipts`."""

from __future__ import annotations

import json
from collections.abc import Sequence

from ocrvl_gateway.receipts.schemas import ReceiptRequest
from stress.fuzz.asgi import check_answer, post
from stress.fuzz.target import Target


def check(data: bytes) -> None:
    """It is answered, or refused in few words."""
    check_answer(*post("/receipts", data))


def seeds() -> Sequence[bytes]:
    """Images with options."""
    objects = (
        {"image": "AAAA", "visualize": True, "max_tokens": 40},
        {"image": "data:image/png;base64,AAAA", "min_pixels": 784, "max_pixels": 999},
        {"image": "http://a/b.png", "stop_repetition": False},
    )
    return [json.dumps(one).encode() for one in objects]


TARGET = Target(check, seeds, [f'"{key}":' for key in ReceiptRequest.model_fields] + ["null", "true", "NaN"])
