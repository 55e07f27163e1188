"""The one tree of errors of the server; each class is one code of `ocrvl.wire.ErrorCode`.

OcrError
├── InvalidArgument   INVALID_ARG   the caller must change what the message names
├── Unavailable       UNAVAILABLE   full or restarting: the same request may succeed later
├── Cancelled         CANCELLED     the caller, or its deadline, ended the request
└── InternalError     INTERNAL      ours; the message carries an id to look up in the log
"""

from __future__ import annotations

from typing import ClassVar

from ocrvl.wire import ErrorCode, tag_message


class OcrError(Exception):
    """An error that reaches a caller: `str()` is the message without its tag."""

    code: ClassVar[ErrorCode] = ErrorCode.INTERNAL

    @property
    def tagged(self) -> str:
        """The message with its code in front, as every error travels."""
        return tag_message(self.code, str(self))


class InvalidArgument(OcrError):
    """The request can never succeed as it is; the message names what to change."""

    code = ErrorCode.INVALID_ARG


class Unavailable(OcrError):
    """The server can not take the request now."""

    code = ErrorCode.UNAVAILABLE


class Cancelled(OcrError):
    """The request was ended before its result."""

    code = ErrorCode.CANCELLED


class InternalError(OcrError):
    """A fault of the server."""

    code = ErrorCode.INTERNAL
