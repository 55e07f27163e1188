"""A server's address, its encryption, and the headers of requests to it."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ocrvl.address import split_address
from ocrvl.local_keys import GRPC_PREFIX, KEY_HEADER, read_key
from ocrvl_client._errors import InvalidRequest

_LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class Tls:
    """An encrypted connection. Files are in PEM.

    `ca` has the certificates that the server's may be signed by, the system's if not given; `certificate` and `key`
    are the client's own, for servers that require one (mTLS). Raises `InvalidRequest` for files that do not exist.
    """

    ca: Path | str | None = None
    certificate: Path | str | None = None
    key: Path | str | None = None

    def __post_init__(self) -> None:
        if (self.certificate is None) != (self.key is None):
            raise InvalidRequest("tls: certificate and key belong together")
        for name in ("ca", "certificate", "key"):
            if (path := getattr(self, name)) is not None and not Path(path).is_file():
                raise InvalidRequest(f"tls: {name}: file {path} not found")

    def context(self) -> ssl.SSLContext:
        """For protocols over Python's own TLS. Raises `InvalidRequest` for files that are not what they should be."""
        try:
            context = ssl.create_default_context(cafile=self.ca)
            if self.certificate is not None:
                context.load_cert_chain(self.certificate, self.key)
        except ssl.SSLError as error:
            raise InvalidRequest(f"tls: {error}") from None
        return context


@dataclass(frozen=True)
class Endpoint:
    """One server: `url` is host and port; `headers` go with each request; `timeout` in seconds is for those without.

    Raises `InvalidRequest` for a URL that is not host and port.
    """

    url: str
    timeout: float = 300.0
    tls: Tls | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        try:
            split_address(self.url)
        except ValueError as error:
            raise InvalidRequest(f"url {error}") from None

    @property
    def address(self) -> tuple[str, int]:
        """Host, one of IPv6 without brackets, and port."""
        return split_address(self.url)

    @property
    def shared_memory_headers(self) -> dict[str, str]:
        """The headers, and the key to the shared memory of a server that this user runs on this machine."""
        host, port = self.address
        key = read_key(port) if host in _LOOPBACK else None
        return {**self.headers, **({KEY_HEADER: key, GRPC_PREFIX + KEY_HEADER: key} if key else {})}
