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
    from ocrvl_client._calls import ProtocolName
    from ocrvl_client._client import Client
    from ocrvl_client._documents import Block, Document, Page
    from ocrvl_client._messages import Array, Request, Source
    from ocrvl_client._options import DocumentOptions, ReadOptions, ReceiptOptions
    from ocrvl_client._readings import Outcome, Reading, Spot
    from ocrvl_client._receipts import Receipt, ReceiptField, ReceiptItem, ReceiptLine, ReceiptOutcome
    from ocrvl_client._transports.endpoint import Endpoint, Tls
    from ocrvl_client._transports.errors import error_from_triton
    from ocrvl_client._transports.protocol import AsyncTransport, ServerMetadata, Transport

__all__ = [
    "Array",
    "AsyncClient",
    "AsyncTransport",
    "Block",
    "Client",
    "Document",
    "DocumentOptions",
    "Endpoint",
    "FinishReason",
    "InvalidRequest",
    "OcrvlError",
    "Outcome",
    "Page",
    "ProtocolName",
    "ReadOptions",
    "Reading",
    "Receipt",
    "ReceiptField",
    "ReceiptItem",
    "ReceiptLine",
    "ReceiptOptions",
    "ReceiptOutcome",
    "Request",
    "RequestCancelled",
    "RequestTimeout",
    "Retry",
    "ServerError",
    "ServerMetadata",
    "ServerUnavailable",
    "Source",
    "Spot",
    "Task",
    "Tls",
    "Transport",
    "error_from_triton",
]

# These bring NumPy and gRPC along, which a command that only looks at a server does not wait for.
_LAZY = {
    "Array": "_messages",
    "AsyncClient": "_async_client",
    "AsyncTransport": "_transports.protocol",
    "Block": "_documents",
    "Client": "_client",
    "Document": "_documents",
    "DocumentOptions": "_options",
    "Endpoint": "_transports.endpoint",
    "Outcome": "_readings",
    "Page": "_documents",
    "ProtocolName": "_calls",
    "ReadOptions": "_options",
    "Reading": "_readings",
    "Receipt": "_receipts",
    "ReceiptField": "_receipts",
    "ReceiptItem": "_receipts",
    "ReceiptLine": "_receipts",
    "ReceiptOptions": "_options",
    "ReceiptOutcome": "_receipts",
    "Request": "_messages",
    "ServerMetadata": "_transports.protocol",
    "Source": "_messages",
    "Spot": "_readings",
    "Tls": "_transports.endpoint",
    "Transport": "_transports.protocol",
    "error_from_triton": "_transports.errors",
}


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
