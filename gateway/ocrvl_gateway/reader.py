"""What the gateway asks of the server: a part of the SDK's `AsyncClient`, so that tests can stand in for it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Protocol, Unpack

if TYPE_CHECKING:
    from ocrvl.wire import Task
    from ocrvl_client import Document, DocumentOptions, Page, Reading, ReadOptions, Receipt, ReceiptOptions
    from ocrvl_gateway.settings import GatewaySettings


class Reader(Protocol):
    """Reads images, documents and receipts.

    Its methods raise `OcrvlError`; cancelling one cancels its request in the engine.
    """

    async def read(self, image: bytes, *, task: Task, timeout: float | None, **options: Unpack[ReadOptions]) -> Reading:
        """Read one image; `options` are the server's."""

    def stream(
        self, image: bytes, *, task: Task, timeout: float | None, **options: Unpack[ReadOptions]
    ) -> AsyncGenerator[str | Reading, None]:
        """Pieces of the text as they are generated, last the reading."""

    def document_stream(
        self, file: bytes, *, timeout: float | None, **options: Unpack[DocumentOptions]
    ) -> AsyncGenerator[Page | Document, None]:
        """Pages as they are done, last the document without its pages."""

    async def receipt(self, image: bytes, *, timeout: float | None, **options: Unpack[ReceiptOptions]) -> Receipt:
        """The fields of a receipt."""

    async def is_ready(self) -> bool:
        """Whether the server can be reached and says that it is ready."""

    async def aclose(self) -> None:
        """Close the connections."""


def connect(settings: GatewaySettings) -> Reader:
    """The SDK's client for these settings. It does not retry: who called decides."""
    from ocrvl_client import AsyncClient, Tls

    tls = Tls(settings.ca, settings.certificate, settings.key) if settings.tls else None
    return AsyncClient(
        settings.server, timeout=settings.timeout, retry=None, tls=tls, concurrency=settings.max_in_flight
    )
