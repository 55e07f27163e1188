"""The client of PaddleOCR-VL on Triton, over gRPC or HTTP.

>>> from ocrvl_client import Client, Task
>>> with Client("localhost:8001") as client:  # doctest: +SKIP
...     print(client.read("receipt.png", task=Task.OCR).text)
"""

from ocrvl.wire import FinishReason, Task
from ocrvl_client._client import Client
from ocrvl_client._errors import (
    InvalidRequest,
    OcrvlError,
    RequestCancelled,
    RequestTimeout,
    ServerError,
    ServerUnavailable,
)
from ocrvl_client._messages import Reading

__all__ = [
    "Client",
    "FinishReason",
    "InvalidRequest",
    "OcrvlError",
    "Reading",
    "RequestCancelled",
    "RequestTimeout",
    "ServerError",
    "ServerUnavailable",
    "Task",
]
