"""What the pipeline asks of the server: a part of the SDK's `AsyncClient`, so that tests can stand in for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol


class ReceiptReader(Protocol):
    """Reads receipts. Its methods raise `OcrvlError`; cancelling one cancels its request in the engine."""

    async def read(self, image: bytes, *, traceparent: str) -> Mapping[str, Any]:
        """The JSON of one receipt."""

    async def aclose(self) -> None:
        """Close the connections."""
