"""What can go wrong, as a caller sees it; the distinctions are the server's (`ocrvl.wire.ErrorCode`).

OcrvlError
├── InvalidRequest      the request cannot succeed as it is: the message names what to change
├── ServerUnavailable   no connection, still loading, full or restarting: the same request may succeed later
│   └── RequestTimeout  no answer within the client's timeout
├── RequestCancelled    ended before its result
└── ServerError         a fault of the server; the message carries an id for its log
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Final, ParamSpec, TypeVar

from ocrvl.wire import NO_SHARED_MEMORY, NO_VERSION, ErrorCode, Model, untag_message

P = ParamSpec("P")
T = TypeVar("T")


class OcrvlError(Exception):
    """Every error that this package raises for a request."""

    from_server: bool = False
    """Whether it is the server's own response. Where it is False, the server may still work on the request."""


class InvalidRequest(OcrvlError):
    """The request cannot succeed as it is; the message names what to change."""


class ServerUnavailable(OcrvlError):
    """The server cannot be reached or cannot take the request now."""


class RequestTimeout(ServerUnavailable):
    """No answer came within the client's timeout."""


class RequestCancelled(OcrvlError):
    """The request was ended before its result."""


class ServerError(OcrvlError):
    """A fault of the server."""


_BY_CODE: dict[ErrorCode, type[OcrvlError]] = {
    ErrorCode.INVALID_ARG: InvalidRequest,
    ErrorCode.UNAVAILABLE: ServerUnavailable,
    ErrorCode.CANCELLED: RequestCancelled,
    ErrorCode.INTERNAL: ServerError,
}

_BY_STATUS: dict[str, type[OcrvlError]] = {
    "INVALID_ARGUMENT": InvalidRequest,
    "NOT_FOUND": InvalidRequest,
    "UNIMPLEMENTED": InvalidRequest,
    "OUT_OF_RANGE": InvalidRequest,
    "400": InvalidRequest,
    "404": InvalidRequest,
    "413": InvalidRequest,
    "501": InvalidRequest,
    "UNAVAILABLE": ServerUnavailable,
    "RESOURCE_EXHAUSTED": ServerUnavailable,
    "429": ServerUnavailable,
    "503": ServerUnavailable,
    "CANCELLED": RequestCancelled,
    "499": RequestCancelled,
    "DEADLINE_EXCEEDED": RequestTimeout,
    "504": RequestTimeout,
}


_NO_RECEIPTS: Final = (
    "for receipts install ocrvl on the server with its extra 'receipt', and serve the interface receipt"
)
"""What to do about a server that was started without the models of receipts."""


def error_from_server(message: str, status: str | None) -> OcrvlError:
    """The error for what Triton answered: by our tag in the message, else by gRPC's or HTTP's status.

    >>> error_from_server("in ensemble 'ocr', [INVALID_ARG] image 0: it has no bytes", "StatusCode.INTERNAL")
    InvalidRequest('image 0: it has no bytes')
    >>> error_from_server("Deadline Exceeded", "StatusCode.DEADLINE_EXCEEDED")
    RequestTimeout('Deadline Exceeded')
    >>> type(error_from_server("Failed to increase the shared memory pool size for key 'a'", "StatusCode.INTERNAL"))
    <class 'ocrvl_client._errors.ServerUnavailable'>
    >>> type(error_from_server("Request for unknown model: 'ocr' has no available versions", "StatusCode.NOT_FOUND"))
    <class 'ocrvl_client._errors.ServerUnavailable'>
    >>> error_from_server("Request for unknown model: 'receipt' is not found", "StatusCode.UNAVAILABLE")
    InvalidRequest("Request for unknown model: 'receipt' is not found; for receipts install ocrvl on the server with \
its extra 'receipt', and serve the interface receipt")
    """
    code, text = untag_message(message)
    if code is None and (NO_SHARED_MEMORY in text or NO_VERSION in text):
        return ServerUnavailable(text)
    if f"unknown model: '{Model.RECEIPT}'" in text:
        return InvalidRequest(f"{text}; {_NO_RECEIPTS}")
    if code is not None:
        return as_from_server(_BY_CODE[code](text))
    return _BY_STATUS.get((status or "").removeprefix("StatusCode."), ServerError)(text)


def as_from_server(error: OcrvlError) -> OcrvlError:
    """The error, marked as the server's own response."""
    error.from_server = True
    return error


_MALFORMED: Final = (LookupError, ValueError, TypeError, AttributeError, ArithmeticError, RecursionError)
"""What decoding raises for an answer that has not the form it should have."""


def decodes_responses(decode: Callable[P, T]) -> Callable[P, T]:
    """Have `decode` raise `ServerError` for an answer that is not of this protocol, as a proxy may give one."""

    @wraps(decode)
    def decode_or_raise(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return decode(*args, **kwargs)
        except _MALFORMED as error:
            raise ServerError(
                f"the answer is not one that this client knows ({type(error).__name__}: {error}); is this the server's "
                "address, and of the same version?"
            ) from error

    return decode_or_raise
