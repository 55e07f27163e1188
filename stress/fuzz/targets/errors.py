"""`ocrvl.wire.untag_message` and what is built on it: errors as Triton hands them on."""

from __future__ import annotations

from collections.abc import Sequence

from ocrvl.errors import OcrError, error_from_message
from ocrvl.wire import ErrorCode, tag_message, untag_message
from ocrvl_client import OcrvlError
from ocrvl_client._errors import error_from_server
from stress.fuzz.target import Target


def check(data: bytes) -> None:
    """Every text is an error of the right class, and what is tagged comes back as it was."""
    text = data.decode("utf-8", "replace")
    code, message = untag_message(text)
    assert text.endswith(message)
    assert isinstance(error_from_message(text), OcrError)
    assert isinstance(error_from_server(text, text[:9]), OcrvlError)
    for tag in ErrorCode:
        assert untag_message(tag_message(tag, message)) == (tag, message)
    assert code is None or error_from_message(text).code is code


def seeds() -> Sequence[bytes]:
    """Messages with and without a tag, and with Triton's own words."""
    tagged = [tag_message(code, "image 0: why").encode() for code in ErrorCode]
    return [*tagged, b"in ensemble 'ocr', [INVALID_ARG] x", b"[request id: 7] Exceeds maximum queue size", b"[["]


TARGET = Target(check, seeds, [f"[{code}] " for code in ErrorCode], max_bytes=512)
