"""The one tree of errors of the server; each class is one code of `ocrvl.wire.ErrorCode`.

OcrError
├── InvalidArgument   INVALID_ARG   the caller must change what the message names
├── Unavailable       UNAVAILABLE   full or restarting: the same request may succeed later
├── Cancelled         CANCELLED     the caller, or its deadline, ended the request
└── InternalError     INTERNAL      ours; the message carries an id to look up in the log
"""

from __future__ import annotations

from typing import ClassVar, Final

from ocrvl.wire import UNAVAILABLE_MESSAGES, ErrorCode, tag_message, untag_message

MAX_MESSAGE_BYTES: Final = 2048
"""Bytes of a message as it travels. gRPC has it in a header, up to three bytes for one, and clients take 8 KiB of
headers: beyond, they see that instead of the error."""


class OcrError(Exception):
    """An error that reaches a caller: `str()` is the message without its tag."""

    code: ClassVar[ErrorCode] = ErrorCode.INTERNAL

    @property
    def tagged(self) -> str:
        """The message with its code in front, as every error travels; a very long one is cut."""
        encoded = str(self).encode("utf-8", "replace")
        if len(encoded) <= MAX_MESSAGE_BYTES:
            return tag_message(self.code, encoded.decode("utf-8"))
        return tag_message(self.code, f"{encoded[:MAX_MESSAGE_BYTES].decode('utf-8', 'ignore')}…")


class InvalidArgument(OcrError):
    """The request can never succeed as it is; the message names what to change."""

    code = ErrorCode.INVALID_ARG


class Unavailable(OcrError):
    """The server cannot take the request now."""

    code = ErrorCode.UNAVAILABLE


class Cancelled(OcrError):
    """The request was ended before its result."""

    code = ErrorCode.CANCELLED


class InternalError(OcrError):
    """A fault of the server."""

    code = ErrorCode.INTERNAL


_BY_CODE: dict[ErrorCode, type[OcrError]] = {
    error.code: error for error in (InvalidArgument, Unavailable, Cancelled, InternalError)
}


def error_from_message(text: str) -> OcrError:
    """The error that another model answered with, from its message, which is all that calls between models keep.

    >>> error_from_message("in ensemble 'ocr', [INVALID_ARG] image 0: it has no bytes")
    InvalidArgument('image 0: it has no bytes')
    >>> error_from_message("in ensemble 'ocr', [request id: 7] Exceeds maximum queue size")
    Unavailable("in ensemble 'ocr', [request id: 7] Exceeds maximum queue size")
    """
    code, message = untag_message(text)
    if code is not None:
        return _BY_CODE[code](message)
    return Unavailable(text) if any(words in text for words in UNAVAILABLE_MESSAGES) else InternalError(text)
