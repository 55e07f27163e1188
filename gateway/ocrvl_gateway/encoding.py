"""Base64, both directions."""

from __future__ import annotations

import pybase64

from ocrvl import files
from ocrvl_gateway.errors import BadRequest


def decode_base64(text: str, param: str) -> bytes:
    """The bytes of base64 text or of a data URL; `param` is the field that holds it. Raises `BadRequest` for others."""
    try:
        data = files.decode_base64(text.encode("ascii"))
    except ValueError as error:
        raise BadRequest(f"{param}: not base64 ({error})", param=param) from None
    if not data:
        raise BadRequest(f"{param}: it has no bytes", param=param)
    return data


def encode_base64(data: bytes) -> str:
    """Bytes as base64 text."""
    return pybase64.b64encode_as_string(data)
