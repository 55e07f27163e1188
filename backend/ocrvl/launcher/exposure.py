"""Access to Triton's endpoints: those that change a server are restricted unless an operator opens them.

Restricted means to callers that send a key of 32 random bytes, which is made at each start and kept nowhere; callers of
the same user can read that of shared memory on a loopback address. Without a key, any page in a browser of this machine
could send what needs no header of its own.
"""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Collection
from enum import StrEnum

from ocrvl.local_keys import KEY_HEADER


class Endpoint(StrEnum):
    """A group of Triton's endpoints that an operator may open, by the name that Triton's own options have for it."""

    REPOSITORY = "model-repository"
    SHARED_MEMORY = "shared-memory"
    TRACE = "trace"
    LOGGING = "logging"


_KEY = "ocrvl-restricted"
"""The header that would carry the key."""


def closed_endpoints(opened: Collection[Endpoint]) -> tuple[Endpoint, ...]:
    """The endpoints to close: all that are not `opened`.

    >>> [endpoint.value for endpoint in closed_endpoints([Endpoint.TRACE])]
    ['model-repository', 'shared-memory', 'logging']
    """
    return tuple(endpoint for endpoint in Endpoint if endpoint not in opened)


def shares_key(host: str, opened: Collection[Endpoint]) -> bool:
    """Whether callers of the same user can read the key to shared memory: on a loopback address it saves copies.

    From elsewhere it can only be misused, and where it is open no key is needed.

    >>> shares_key("127.0.0.1", []), shares_key("0.0.0.0", [])
    (True, False)
    """
    return is_loopback(host) and Endpoint.SHARED_MEMORY not in opened


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches `host`; of names, only `localhost` is known.

    >>> [is_loopback(host) for host in ("127.0.0.1", "::1", "localhost", "0.0.0.0", "::", "10.0.0.7", "ocr")]
    [True, True, True, False, False, False, False]
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def restrict(endpoints: Collection[Endpoint], shared_memory_key: str | None = None) -> list[str]:
    """Triton's arguments that restrict these endpoints; shared memory by the key that callers can read, if given."""
    shared = [Endpoint.SHARED_MEMORY] if shared_memory_key and Endpoint.SHARED_MEMORY in endpoints else []
    secret = [endpoint for endpoint in endpoints if endpoint not in shared]
    arguments = []
    if secret:
        arguments += _group(secret, _KEY, secrets.token_urlsafe(32))
    if shared and shared_memory_key:
        arguments += _group(shared, KEY_HEADER, shared_memory_key)
    return arguments


def _group(endpoints: Collection[Endpoint], header: str, key: str) -> list[str]:
    group = f"{','.join(endpoints)}:{header}={key}"
    return [f"--http-restricted-api={group}", f"--grpc-restricted-protocol={group}"]
