"""What the pipeline asks of the server: a part of the SDK's `AsyncClient`, so that tests can stand in for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from ocrvl_receipts.settings import WorkerSettings
from ocrvl_receipts.trace import HEADER

if TYPE_CHECKING:
    from ocrvl_client import AsyncClient


class ReceiptReader(Protocol):
    """Reads receipts. Its methods raise `OcrvlError`; cancelling one cancels its request in the engine."""

    async def read(self, image: bytes, *, traceparent: str) -> Mapping[str, Any]:
        """The JSON of one receipt."""

    async def aclose(self) -> None:
        """Close the connections."""


class SdkReader:
    """Reads with the SDK's client."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def read(self, image: bytes, *, traceparent: str) -> Mapping[str, Any]:
        """As `ReceiptReader.read`."""
        return (await self._client.receipt(image, headers={HEADER: traceparent})).json

    async def aclose(self) -> None:
        """As `ReceiptReader.aclose`."""
        await self._client.aclose()


def connect(settings: WorkerSettings) -> ReceiptReader:
    """A reader for these settings. It does not retry: the worker waits, and can be told to stop meanwhile."""
    from ocrvl_client import AsyncClient, Tls

    tls = Tls(settings.ca, settings.certificate, settings.key) if settings.tls else None
    return SdkReader(AsyncClient(settings.server, timeout=settings.timeout, retry=None, tls=tls))
