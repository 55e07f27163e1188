"""A server's address, `host:port`. It imports nothing: client, command line and measurements read addresses."""

from __future__ import annotations

from typing import Final

_MAX_PORT: Final = 65_535


def split_address(address: str) -> tuple[str, int]:
    """Host and port. Raises `ValueError` that quotes the address and says what is expected.

    >>> split_address("localhost:8001"), split_address("[::1]:8001")
    (('localhost', 8001), ('::1', 8001))
    """
    host, _, port = address.rpartition(":")
    if not host or "/" in address or not (port.isascii() and port.isdecimal()) or int(port) > _MAX_PORT:
        raise ValueError(f"{address!r}: expected host and port without a scheme, such as localhost:8001")
    return host.strip("[]"), int(port)
