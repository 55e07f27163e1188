"""Which of Triton's endpoints a server answers: those that change it are closed unless they are asked for.

Closed means restricted to callers that send a key of 32 random bytes, which is made at each start and told to nobody.
"""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Collection
from enum import StrEnum


class Endpoint(StrEnum):
    """A group of Triton's endpoints that an operator may open, by the name that Triton's own options have for it."""

    REPOSITORY = "model-repository"
    SHARED_MEMORY = "shared-memory"
    TRACE = "trace"
    LOGGING = "logging"


_KEY = "ocrvl-closed"
"""The header that would carry the key."""


def closed_endpoints(host: str, opened: Collection[Endpoint]) -> tuple[Endpoint, ...]:
    """The endpoints to close for a server that listens on `host`, without those that are `opened`.

    Shared memory is open on a loopback address, where a caller on the same machine saves copies by it; from elsewhere
    it can only be misused.

    >>> [endpoint.value for endpoint in closed_endpoints("127.0.0.1", [])]
    ['model-repository', 'trace', 'logging']
    >>> [endpoint.value for endpoint in closed_endpoints("0.0.0.0", [Endpoint.TRACE])]
    ['model-repository', 'shared-memory', 'logging']
    """
    of_host = {Endpoint.SHARED_MEMORY} if is_loopback(host) else set()
    return tuple(endpoint for endpoint in Endpoint if endpoint not in {*opened, *of_host})


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches `host`; of names, only `localhost` is known.

    >>> [is_loopback(host) for host in ("127.0.0.1", "::1", "localhost", "0.0.0.0", "::", "10.0.0.7", "ocr")]
    [True, True, True, False, False, False, False]
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def restrict(endpoints: Collection[Endpoint]) -> list[str]:
    """Triton's arguments that close these endpoints."""
    if not endpoints:
        return []
    group = f"{','.join(endpoints)}:{_KEY}={secrets.token_urlsafe(32)}"
    return [f"--http-restricted-api={group}", f"--grpc-restricted-protocol={group}"]
