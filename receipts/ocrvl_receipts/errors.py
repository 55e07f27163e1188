"""Why a receipt has no result: for good (`Refused`), for now (`Failed`), or because another worker has it (`Released`).

What is not the receipt's fault is none of these: the worker waits (`worker.faults`).
"""

from __future__ import annotations

from enum import StrEnum


class Code(StrEnum):
    """What stands in the header `ocrvl_error_code` of a message that failed."""

    BAD_EVENT = "bad_event"
    UNKNOWN_SCHEMA = "unknown_schema"
    BUCKET_NOT_ALLOWED = "bucket_not_allowed"
    KEY_NOT_SUPPORTED = "key_not_supported"
    NOT_FOUND = "not_found"
    CHANGED = "changed"
    ACCESS_DENIED = "access_denied"
    EMPTY = "empty"
    TOO_LARGE = "too_large"
    INVALID_IMAGE = "invalid_image"
    SERVER_ERROR = "server_error"
    TIMEOUT = "timeout"
    STORE_ERROR = "store_error"
    WORKER_ERROR = "worker_error"


class ReceiptError(Exception):
    """The message says what is wrong with one receipt, and what to change."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Refused(ReceiptError):
    """This receipt can never be read as it is."""


class Failed(ReceiptError):
    """This receipt may be read at another time."""


class Released(Exception):
    """This receipt is left to another worker."""


class Ignored(Exception):
    """A message that is about no upload."""
