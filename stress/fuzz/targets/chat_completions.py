"""`ocrvl_gateway.openai`: the body of a chat completion."""

from __future__ import annotations

import json
from collections.abc import Sequence

from ocrvl_gateway.openai.schemas import ChatRequest
from stress.fuzz.asgi import check_answer, post
from stress.fuzz.target import Target

_MODEL = "PaddleOCR-VL-1.6-0.9B"


def check(data: bytes) -> None:
    """It is answered, or refused in few words."""
    check_answer(*post("/v1/chat/completions", data))


def seeds() -> Sequence[bytes]:
    """Questions with the fields that clients send."""
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "auto"}}
    message = {"role": "user", "content": [image, {"type": "text", "text": "OCR:"}]}
    plain = {"model": _MODEL, "messages": [message]}
    objects = (
        plain,
        {**plain, "stream": True, "stream_options": {"include_usage": True}, "max_tokens": 9, "temperature": 0},
        {**plain, "messages": [{"role": "system", "content": ""}, message], "tools": [], "top_k": -1, "n": 1},
        {**plain, "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {}}}, "seed": 1},
        {**plain, "mm_processor_kwargs": {"min_pixels": 784}, "stop": ["a"], "metadata": {"a": "b"}, "user": None},
        {"model": _MODEL, "messages": [{"role": "user", "content": [{"type": "image_url", "image_url": "http://a"}]}]},
    )
    return [json.dumps(one).encode() for one in objects]


TARGET = Target(check, seeds, [f'"{key}":' for key in ChatRequest.model_fields] + ["null", "true", "NaN", "[]", "{}"])
