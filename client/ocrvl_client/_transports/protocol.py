"""What a transport is, and what it is told about its server."""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator, Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from ocrvl.address import split_address
from ocrvl.local_keys import GRPC_PREFIX, KEY_HEADER, read_key
from ocrvl.wire import Tensor
from ocrvl_client._errors import InvalidRequest
from ocrvl_client._messages import Array, Request, ServerMetadata

END_SECONDS: Final = 2.0
"""What ending a request that was given up may take: its caller waits for it."""

_THIS_MACHINE: Final = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class Tls:
    """An encrypted connection. Files are in PEM.

    `ca` has the certificates that the server's may be signed by, the system's if not given; `certificate` and `key`
    are the client's own, for servers that ask for one (mTLS).
    """

    ca: Path | str | None = None
    certificate: Path | str | None = None
    key: Path | str | None = None

    def __post_init__(self) -> None:
        if (self.certificate is None) != (self.key is None):
            raise InvalidRequest("tls: certificate and key belong together")
        for name in ("ca", "certificate", "key"):
            if (path := getattr(self, name)) is not None and not Path(path).is_file():
                raise InvalidRequest(f"tls: {name}: there is no file {path}")

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
    """One server: host and port, how to talk to it, what goes with each request. `timeout` in seconds."""

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
    def shared_memory_headers(self) -> dict[str, str]:
        """The headers, and the key to the shared memory of a server that this user runs on this machine."""
        host, port = split_address(self.url)
        key = read_key(port) if host in _THIS_MACHINE else None
        return {**self.headers, **({KEY_HEADER: key, GRPC_PREFIX + KEY_HEADER: key} if key else {})}


class Transport(Protocol):
    """What carries one request to a model and its answer back. Every method raises `OcrvlError` and nothing else."""

    def infer(self, request: Request, timeout: float) -> dict[Tensor, Array]:
        """Send a request and wait for its answer, at most `timeout` seconds."""

    def stream(self, request: Request, timeout: float) -> Generator[dict[Tensor, Array], None, None]:
        """Send a request and yield its answers; at most `timeout` seconds between two. Closing it ends the request.

        What is closed early is ended by its token and read to its end, for `END_SECONDS`, and broken off only after
        that: Triton up to 2.56 (25.03) dies or hangs over streams that are broken off while it answers them.
        """

    def register(self, name: str, key: str, size: int) -> None:
        """Tell the server of shared memory: `key` is its name in the system, `size` its bytes."""

    def unregister(self, name: str, timeout: float) -> None:
        """Have the server let go of shared memory that no request points at any more, within `timeout` seconds."""

    def is_live(self) -> bool:
        """Whether the server runs; False where it cannot be reached."""

    def is_ready(self) -> bool:
        """Whether the server says that all its models are ready; False where it cannot be reached."""

    def metadata(self) -> ServerMetadata:
        """What the server says of itself."""

    def close(self) -> None:
        """Close the connections."""


class AsyncTransport(Protocol):
    """The same for asyncio."""

    async def infer(self, request: Request, timeout: float) -> dict[Tensor, Array]:
        """Send a request and wait for its answer, at most `timeout` seconds."""

    def stream(self, request: Request, timeout: float) -> AsyncGenerator[dict[Tensor, Array], None]:
        """Send a request and yield its answers; at most `timeout` seconds between two. Closing it ends the request.

        What is closed early is ended by its token and read to its end, for `END_SECONDS`, and broken off only after
        that: Triton up to 2.56 (25.03) dies or hangs over streams that are broken off while it answers them.
        """

    async def register(self, name: str, key: str, size: int) -> None:
        """Tell the server of shared memory: `key` is its name in the system, `size` its bytes."""

    async def unregister(self, name: str, timeout: float) -> None:
        """Have the server let go of shared memory that no request points at any more, within `timeout` seconds."""

    async def is_live(self) -> bool:
        """Whether the server runs; False where it cannot be reached."""

    async def is_ready(self) -> bool:
        """Whether the server says that all its models are ready; False where it cannot be reached."""

    async def metadata(self) -> ServerMetadata:
        """What the server says of itself."""

    async def close(self) -> None:
        """Close the connections."""
