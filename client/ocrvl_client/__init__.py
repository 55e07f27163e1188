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
    from ocrvl_client._client import Client
    from ocrvl_client._messages import Reading

__all__ = [
    "Client",
    "FinishReason",
    "InvalidRequest",
    "OcrvlError",
    "Reading",
    "RequestCancelled",
    "RequestTimeout",
    "Retry",
    "ServerError",
    "ServerUnavailable",
    "Task",
]

# These bring NumPy and gRPC along, which a command that only looks at a server does not wait for.
_LATER = {"Client": "_client", "Reading": "_messages"}


def __getattr__(name: str) -> object:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LATER[name]}"), name)
