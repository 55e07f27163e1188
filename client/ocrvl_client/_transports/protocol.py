"""What a transport is: it carries a request to a model and its answer back."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from dataclasses import dataclass
from typing import Final, Protocol

from ocrvl.wire import Tensor
from ocrvl_client._messages import Array, Request

CANCEL_SECONDS: Final = 2.0
"""What cancelling an abandoned request may take: its caller waits for it."""


@dataclass(frozen=True)
class ServerMetadata:
    """What a server says of itself."""

    name: str
    version: str
    extensions: tuple[str, ...]


class Transport(Protocol):
    """Requests and answers, for threads. Every method raises `OcrvlError` and nothing else."""

    def infer(self, request: Request, timeout: float) -> dict[Tensor, Array]:
        """Send a request and wait for its answer, at most `timeout` seconds."""

    def stream(self, request: Request, timeout: float) -> Generator[dict[Tensor, Array], None, None]:
        """Send a request and yield its answers; at most `timeout` seconds between two. Closing it ends the request.

        A stream that is closed early is cancelled by its token and read to its end, for `CANCEL_SECONDS`, and broken
        off only after that: Triton up to 2.56 (25.03) dies or hangs over streams that are broken off while it answers
        them.
        """

    def is_live(self) -> bool:
        """Whether the server runs; False where it cannot be reached."""

    def is_ready(self) -> bool:
        """Whether the server says that all its models are ready; False where it cannot be reached."""

    def metadata(self) -> ServerMetadata:
        """What the server says of itself."""

    def close(self) -> None:
        """Close the connections."""


class ServerTransport(Transport, Protocol):
    """A transport to one server, which can register shared memory."""

    def register(self, name: str, key: str, size: int) -> None:
        """Register shared memory with the server: `key` is its name in the system, `size` its bytes."""

    def unregister(self, name: str, timeout: float) -> None:
        """Unregister shared memory that no request points at any more, within `timeout` seconds."""


class AsyncTransport(Protocol):
    """As `Transport`, for asyncio."""

    async def infer(self, request: Request, timeout: float) -> dict[Tensor, Array]:
        """As `Transport.infer`."""

    def stream(self, request: Request, timeout: float) -> AsyncGenerator[dict[Tensor, Array], None]:
        """As `Transport.stream`."""

    async def is_live(self) -> bool:
        """As `Transport.is_live`."""

    async def is_ready(self) -> bool:
        """As `Transport.is_ready`."""

    async def metadata(self) -> ServerMetadata:
        """As `Transport.metadata`."""

    async def close(self) -> None:
        """As `Transport.close`."""


class AsyncServerTransport(AsyncTransport, Protocol):
    """As `ServerTransport`, for asyncio."""

    async def register(self, name: str, key: str, size: int) -> None:
        """As `ServerTransport.register`."""

    async def unregister(self, name: str, timeout: float) -> None:
        """As `ServerTransport.unregister`."""
