"""What both clients decide alike, without a network: endpoints, timeouts, and which errors abandon a request."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Literal, TypeVar

from ocrvl_client._errors import InvalidRequest, OcrvlError, RequestTimeout, ServerError
from ocrvl_client._retry import Retry
from ocrvl_client._transports.endpoint import Endpoint, Tls

T = TypeVar("T")
B = TypeVar("B")

ProtocolName = Literal["grpc", "http"]

DEFAULT_RETRY: Final = Retry()
ONCE: Final = Retry(attempts=1)


def endpoints_of(
    url: str | Sequence[str],
    protocol: str,
    timeout: float,
    tls: Tls | None,
    headers: Mapping[str, str] | None,
) -> list[Endpoint]:
    """The servers that a client talks to. Raises `InvalidRequest` for what can be no server."""
    if protocol not in ("grpc", "http"):
        raise InvalidRequest(f"protocol {protocol!r}: expected 'grpc' or 'http'")
    check_timeout(timeout)
    urls = [url] if isinstance(url, str) else list(url)
    if not urls:
        raise InvalidRequest("url: expected at least one server")
    return [Endpoint(one, timeout, tls, dict(headers or {})) for one in urls]


def combine(transports: Sequence[T], balance: Callable[[Sequence[T]], B]) -> T | B:
    """One transport for all servers."""
    return transports[0] if len(transports) == 1 else balance(transports)


def check_timeout(value: float | None, default: float = 0.0) -> float:
    """The seconds that a request may take, `default` where the caller says none. Raises `InvalidRequest` for none."""
    if value is None:
        return default
    if not value > 0:
        raise InvalidRequest(f"timeout {value!r}: expected seconds above 0")
    return value


def check_concurrency(value: int | None, default: int = 1) -> int:
    """How many requests may be in flight, `default` where the caller does not say. Raises `InvalidRequest` for none."""
    if value is None:
        return default
    if value < 1:
        raise InvalidRequest(f"concurrency {value}: expected at least 1")
    return value


def is_abandoned(error: BaseException) -> bool:
    """Whether a request ended with this error is one that the server may still work on, with nobody waiting."""
    return isinstance(error, RequestTimeout | asyncio.CancelledError | KeyboardInterrupt | GeneratorExit)


def as_ocrvl_error(error: Exception) -> OcrvlError:
    """The error of one of many images, whatever it was."""
    if isinstance(error, OcrvlError):
        return error
    failure = ServerError(f"the client has failed: {type(error).__name__}: {error}")
    failure.__cause__ = error
    return failure
