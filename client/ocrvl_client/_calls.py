"""What both clients decide alike, without a network: where to, how often, and what becomes of what is given up."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from ocrvl_client._errors import InvalidRequest, OcrvlError, RequestTimeout, ServerError
from ocrvl_client._messages import CANCEL_TOKEN
from ocrvl_client._retry import Retry
from ocrvl_client._transports.protocol import Endpoint, Tls

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
        raise InvalidRequest(f"protocol {protocol!r}: 'grpc' or 'http' is wanted")
    check_timeout(timeout)
    urls = [url] if isinstance(url, str) else list(url)
    if not urls:
        raise InvalidRequest("url: at least one server is wanted")
    return [Endpoint(one, timeout, tls, dict(headers or {})) for one in urls]


def check_timeout(value: float | None, default: float = 0.0) -> float:
    """The seconds that a request may take, `default` where the caller says none. Raises `InvalidRequest` for none."""
    if value is None:
        return default
    if not value > 0:
        raise InvalidRequest(f"timeout {value!r}: seconds above 0 are wanted")
    return value


def check_concurrency(value: int | None, default: int = 1) -> int:
    """How many requests may be in flight, `default` where the caller does not say. Raises `InvalidRequest` for none."""
    if value is None:
        return default
    if value < 1:
        raise InvalidRequest(f"concurrency {value}: at least 1 is wanted")
    return value


class UnderWay:
    """The tokens of many requests that are under way, to end those that are left. Safe for threads.

    Each has a token of its own, since one that takes too long is ended by it and must not take the others along. Where
    the caller gave one (`cancel_token`) they share that, and one that takes too long is left to the server.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        self.is_shared: Final = CANCEL_TOKEN in options
        self._options = options
        self._tokens: dict[int, str] = {}

    def start(self, index: int) -> dict[str, Any]:
        """The options of a request that is about to be sent; from now on it is among those to end."""
        options = {CANCEL_TOKEN: uuid.uuid4().hex, **self._options}
        self._tokens[index] = str(options[CANCEL_TOKEN])
        return options

    def finish(self, index: int) -> None:
        """A request is over."""
        del self._tokens[index]

    def tokens(self) -> list[str]:
        """What ends all that are left, each once; the server ends what comes late as well."""
        return list(dict.fromkeys(self._tokens.copy().values()))


def is_given_up(error: BaseException) -> bool:
    """Whether nobody waits for an answer any more that the server may still be working on."""
    return isinstance(error, RequestTimeout | asyncio.CancelledError | KeyboardInterrupt | GeneratorExit)


def failure_of(error: Exception) -> OcrvlError:
    """The error of one of many images, whatever it was."""
    if isinstance(error, OcrvlError):
        return error
    failure = ServerError(f"the client has failed: {type(error).__name__}: {error}")
    failure.__cause__ = error
    return failure
