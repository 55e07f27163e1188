"""What both clients decide alike, without a network: where to, how often, and what becomes of what is given up."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from ocrvl_client._errors import InvalidRequest, OcrvlError, RequestTimeout, ServerError
from ocrvl_client._retry import Retry
from ocrvl_client._transports.protocol import Endpoint, Tls

Protocol = Literal["grpc", "http"]

DEFAULT_RETRY: Final = Retry()
ONCE: Final = Retry(attempts=1)

END_SECONDS: Final = 2.0
"""What ending a request that was given up may take: its caller waits for it."""


def endpoints_of(
    url: str | Sequence[str],
    protocol: str,
    timeout: float,
    tls: Tls | None,
    headers: Mapping[str, str] | None,
) -> list[Endpoint]:
    """The servers that a client talks to. Raises `InvalidRequest` for what can be no server."""
    if protocol not in ("grpc", "http"):
        raise InvalidRequest(f"protocol {protocol!r}: 'grpc' or 'http' is wanted")
    if not timeout > 0:
        raise InvalidRequest(f"timeout {timeout!r}: seconds above 0 are wanted")
    urls = [url] if isinstance(url, str) else list(url)
    if not urls:
        raise InvalidRequest("url: at least one server is wanted")
    return [Endpoint(one, timeout, tls, dict(headers or {})) for one in urls]


def check_concurrency(value: int) -> int:
    """How many requests may be in flight. Raises `InvalidRequest` for none."""
    if value < 1:
        raise InvalidRequest(f"concurrency {value}: at least 1 is wanted")
    return value


def share_token(options: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Options under which many requests can be ended together, and the token that does it."""
    given = {"cancel_token": uuid.uuid4().hex, **options}
    return str(given["cancel_token"]), given


def is_given_up(error: BaseException) -> bool:
    """Whether nobody waits for an answer any more that the server may still be working on."""
    return isinstance(error, RequestTimeout | asyncio.CancelledError | KeyboardInterrupt | GeneratorExit)


def failure_of(error: Exception) -> OcrvlError:
    """The error of one of many pictures, whatever it was."""
    if isinstance(error, OcrvlError):
        return error
    failure = ServerError(f"the client has failed: {type(error).__name__}: {error}")
    failure.__cause__ = error
    return failure
