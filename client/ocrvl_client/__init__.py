"""The client of PaddleOCR-VL on Triton, over gRPC or HTTP.

>>> from ocrvl_client import Client, Task
>>> with Client("localhost:8001") as client:  # doctest: +SKIP
...     print(client.read("receipt.png", task=Task.OCR).text)
"""

from importlib import import_module
from typing import TYPE_CHECKING

from ocrvl.wire import FinishReason, Task
from ocrvl_client._errors import (
    InvalidRequest,
    OcrvlError,
    RequestCancelled,
    RequestTimeout,
    ServerError,
    ServerUnavailable,
)
from ocrvl_client._retry import Retry

if TYPE_CHECKING:
    from ocrvl_client._async_client import AsyncClient
    from ocrvl_client._client import Client
    from ocrvl_client._documents import Block, Document, Page
    from ocrvl_client._messages import Outcome, Reading, ServerMetadata, Spot
    from ocrvl_client._transports.protocol import Tls

__all__ = [
    "AsyncClient",
    "Block",
    "Client",
    "Document",
    "FinishReason",
    "InvalidRequest",
    "OcrvlError",
    "Outcome",
    "Page",
    "Reading",
    "RequestCancelled",
    "RequestTimeout",
    "Retry",
    "ServerError",
    "ServerMetadata",
    "ServerUnavailable",
    "Spot",
    "Task",
    "Tls",
]

# These bring NumPy and gRPC along, which a command that only looks at a server does not wait for.
_LATER = {
    "AsyncClient": "_async_client",
    "Block": "_documents",
    "Client": "_client",
    "Document": "_documents",
    "Outcome": "_messages",
    "Page": "_documents",
    "Reading": "_messages",
    "ServerMetadata": "_messages",
    "Spot": "_messages",
    "Tls": "_transports.protocol",
}


def __getattr__(name: str) -> object:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LATER[name]}"), name)
