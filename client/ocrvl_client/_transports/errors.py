"""Errors of gRPC, HTTP and Triton as this package's own."""

from __future__ import annotations

from typing import Final

from tritonclient.utils import InferenceServerException

from ocrvl.wire import UNAVAILABLE_MESSAGES, untag_message
from ocrvl_client._errors import OcrvlError, RequestTimeout, ServerUnavailable, as_from_server, error_from_server

_CONNECTION_LOST: Final = (
    *("Socket closed", "Stream removed", "RST_STREAM", "GOAWAY", "Connection reset", "Broken pipe", "recvmsg"),
    *("Cancelling all calls", "keepalive watchdog timeout", "ping timeout"),
)
"""Words of gRPC for a connection that broke under a request; the status with them is not always UNAVAILABLE."""

_NO_LISTENER: Final = ("failed to connect", "dns resolution", "name resolution")
"""Words of gRPC, in small letters, for an address where nobody listens or a name that nobody has."""

_TLS_MISMATCH: Final = ("SSL_ERROR", "CERTIFICATE_VERIFY_FAILED", "TLSV1_ALERT", "WRONG_VERSION_NUMBER", "handshake")
"""Words of gRPC for two ends that do not agree on how the connection is encrypted."""


def error_from_triton(error: InferenceServerException) -> OcrvlError:
    """The error of this package for one of tritonclient's, by the tag in its message, Triton's words, or its status."""
    message = error.message() or ""
    if _is_untagged(error) and any(words in message for words in UNAVAILABLE_MESSAGES):
        return as_from_server(ServerUnavailable(message))
    return error_from_server(message, error.status())


def error_from_grpc(error: InferenceServerException, url: str, timeout: float) -> OcrvlError:
    """The error for what Triton answered over gRPC, or for what became of the connection."""
    known = error_from_triton(error)
    text = str(known)
    if isinstance(known, RequestTimeout):
        return timeout_error(url, timeout)
    if isinstance(known, ServerUnavailable) and any(words in text for words in _TLS_MISMATCH):
        return tls_error(url, text)
    if isinstance(known, ServerUnavailable) and any(words in text.lower() for words in _NO_LISTENER):
        return ServerUnavailable(f"no server at {url}; is it running, and is this its gRPC port?")
    if _is_untagged(error) and any(words in text for words in _CONNECTION_LOST):
        return connection_lost_error(url, text)
    return known


def timeout_error(url: str, timeout: float) -> RequestTimeout:
    """No answer came in time."""
    return RequestTimeout(f"no answer from {url} within {timeout:.3g} s")


def no_http_server_error(url: str, why: object) -> ServerUnavailable:
    """Nobody listens there."""
    return ServerUnavailable(f"no server at {url} ({why}); is this its HTTP port?")


def tls_error(url: str, why: object) -> ServerUnavailable:
    """Somebody listens, but the two ends do not agree on encryption."""
    return ServerUnavailable(
        f"no encrypted connection to {url}: is TLS on at both ends, and its certificate known? ({why})"
    )


def connection_lost_error(url: str, why: object) -> ServerUnavailable:
    """The connection broke under a request."""
    return ServerUnavailable(f"the connection to {url} broke before the answer ({why})")


def _is_untagged(error: InferenceServerException) -> bool:
    return untag_message(error.message() or "")[0] is None
