"""`ocrvl_gateway.paddle`: the body of `/layout-parsing`."""

from __future__ import annotations

import json
from collections.abc import Sequence

from ocrvl_gateway.paddle.schemas import LayoutParsingRequest
from stress.fuzz.asgi import check_answer, post
from stress.fuzz.target import Target


def check(data: bytes) -> None:
    """It is answered, or refused in few words."""
    check_answer(*post("/layout-parsing", data))


def seeds() -> Sequence[bytes]:
    """Files with the options of PaddleOCR's service."""
    objects = (
        {"file": "AAAA", "fileType": 1, "logId": "a", "visualize": False},
        {"file": "http://a/b.pdf", "pages": "1-3,8-", "dpi": 72, "outputFormats": ["docx"]},
        {"file": "AAAA", "layoutThreshold": {"0": 0.5}, "layoutUnclipRatio": [1.0, 2.0], "layoutNms": True},
        {"file": "AAAA", "promptLabel": "table", "minPixels": 784, "maxPixels": 999, "vlmExtraArgs": {"a": 1}},
    )
    return [json.dumps(one).encode() for one in objects]


TARGET = Target(check, seeds, [f'"{key}":' for key in LayoutParsingRequest.model_fields] + ["null", "true", "NaN"])
