"""Errors of gRPC, HTTP and Triton in our own terms."""

from __future__ import annotations

from typing import Final

from tritonclient.utils import InferenceServerException

from ocrvl.wire import untag_message
from ocrvl_client._errors import OcrvlError, RequestTimeout, ServerUnavailable, answered, error_from_server

_LOST: Final = (
    *("Socket closed", "Stream removed", "RST_STREAM", "GOAWAY", "Connection reset", "Broken pipe", "recvmsg"),
    *("Cancelling all calls", "keepalive watchdog timeout", "ping timeout"),
)
"""Words of gRPC for a connection that broke under a request; the status with them is not always UNAVAILABLE."""

_REFUSED: Final = (
    "is not healthy",
    "is not ready",
    "Exceeds maximum queue size",
    "Request timeout expired",
    "stopping",
)
"""Words of Triton's own for what it cannot take now: a killed model, a full queue, its end. Ensembles lose the status
with them."""

_NOBODY: Final = ("failed to connect", "dns resolution", "name resolution")
"""Words of gRPC, in small letters, for an address where nobody listens or a name that nobody has."""

_TLS: Final = ("SSL_ERROR", "CERTIFICATE_VERIFY_FAILED", "TLSV1_ALERT", "WRONG_VERSION_NUMBER", "handshake")
"""Words of gRPC for two ends that do not agree on how the connection is encrypted."""


def error_from_triton(error: InferenceServerException) -> OcrvlError:
    """The error of this package for one of tritonclient's, by the tag in its message, Triton's words, or its status."""
    message = error.message() or ""
    if _is_untagged(error) and any(words in message for words in _REFUSED):
        return answered(ServerUnavailable(message))
    return error_from_server(message, error.status())


def translate_grpc(error: InferenceServerException, url: str, timeout: float) -> OcrvlError:
    """What Triton answered over gRPC, or what became of the connection."""
    translated = error_from_triton(error)
    text = str(translated)
    if isinstance(translated, RequestTimeout):
        return no_answer(url, timeout)
    if isinstance(translated, ServerUnavailable) and any(words in text for words in _TLS):
        return tls_mismatch(url, text)
    if isinstance(translated, ServerUnavailable) and any(words in text.lower() for words in _NOBODY):
        return ServerUnavailable(f"no server at {url}; is it running, and is this its gRPC port?")
    if _is_untagged(error) and any(words in text for words in _LOST):
        return lost(url, text)
    return translated


def no_answer(url: str, timeout: float) -> RequestTimeout:
    """Nothing came in time."""
    return RequestTimeout(f"no answer from {url} within {timeout:.3g} s")


def no_http_server(url: str, why: object) -> ServerUnavailable:
    """Nobody listens."""
    return ServerUnavailable(f"no server at {url} ({why}); is this its HTTP port?")


def tls_mismatch(url: str, why: object) -> ServerUnavailable:
    """Somebody listens, but the two ends do not agree on encryption."""
    return ServerUnavailable(
        f"no encrypted connection to {url}: is TLS on at both ends, and its certificate known? ({why})"
    )


def lost(url: str, why: object) -> ServerUnavailable:
    """The connection broke under a request."""
    return ServerUnavailable(f"the connection to {url} broke before the answer ({why})")


def _is_untagged(error: InferenceServerException) -> bool:
    return untag_message(error.message() or "")[0] is None
