"""Whose fault an error is: the receipt's, for good or for now, or that of a service that all receipts need.

A service that is full or away is waited for. Of other errors one cannot tell from one receipt: if others got through
meanwhile, it was this one's, else the service's.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final

from ocrvl_client import InvalidRequest, OcrvlError, RequestTimeout, ServerError, ServerUnavailable
from ocrvl_receipts.errors import Code, Failed, ReceiptError, Refused
from ocrvl_receipts.kafka.producer import NotDelivered
from ocrvl_receipts.metrics import Stage
from ocrvl_receipts.store import (
    AccessDenied,
    ObjectChanged,
    ObjectNotFound,
    ObjectTooLarge,
    StoreError,
    StoreUnavailable,
)


class Blame(Enum):
    """What an error is taken for."""

    RECEIPT = auto()
    SERVICE = auto()
    UNKNOWN = auto()


_REFUSED: Final[dict[type[StoreError], Code]] = {
    ObjectNotFound: Code.NOT_FOUND,
    ObjectChanged: Code.CHANGED,
    ObjectTooLarge: Code.TOO_LARGE,
    AccessDenied: Code.ACCESS_DENIED,
}


def judge(error: Exception, stage: Stage) -> tuple[Blame, ReceiptError]:
    """Who is to blame, and what becomes of the receipt if it is the receipt itself."""
    if isinstance(error, ReceiptError):
        return Blame.RECEIPT, error
    message = str(error)
    if isinstance(error, StoreError):
        return _judge_store(error, stage, message)
    if isinstance(error, OcrvlError):
        return _judge_server(error, message)
    if isinstance(error, NotDelivered):
        return Blame.SERVICE, Failed(Code.WORKER_ERROR, message)
    return Blame.RECEIPT, Failed(Code.WORKER_ERROR, f"the worker has failed: {type(error).__name__}: {message}")


def _judge_store(error: StoreError, stage: Stage, message: str) -> tuple[Blame, ReceiptError]:
    failed = Failed(Code.STORE_ERROR, message)
    if isinstance(error, StoreUnavailable):
        return Blame.SERVICE, failed
    if type(error) in _REFUSED:
        # results go to one bucket: where it cannot be used, no receipt is to blame
        is_receipt = stage is Stage.FETCH
        return (Blame.RECEIPT, Refused(_REFUSED[type(error)], message)) if is_receipt else (Blame.SERVICE, failed)
    return Blame.UNKNOWN, failed


def _judge_server(error: OcrvlError, message: str) -> tuple[Blame, ReceiptError]:
    if isinstance(error, RequestTimeout):
        return Blame.UNKNOWN, Failed(Code.TIMEOUT, message)
    if isinstance(error, ServerUnavailable):
        return Blame.SERVICE, Failed(Code.SERVER_ERROR, message)
    if error.from_server and isinstance(error, InvalidRequest):
        return Blame.RECEIPT, Refused(Code.INVALID_IMAGE, message)
    if error.from_server and isinstance(error, ServerError):
        return Blame.RECEIPT, Failed(Code.SERVER_ERROR, message)
    # what is not the models' own answer, as where one of them does not exist
    return Blame.UNKNOWN, Failed(Code.SERVER_ERROR, message)
