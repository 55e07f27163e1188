"""What tests of the gateway share: a scripted reader, the application in this process, and on a port."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import socket
import threading
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx
import uvicorn
from fastapi import FastAPI

from ocrvl.wire import FinishReason, Task
from ocrvl_client import Document, Page, Reading, Receipt
from ocrvl_client._receipts import decode_receipt
from ocrvl_gateway.app import create_app
from ocrvl_gateway.fetch import Fetcher
from ocrvl_gateway.paddle.restructure_pool import RestructurePool
from ocrvl_gateway.settings import GatewaySettings
from tests.support.doubles import WAIT_SECONDS
from tests.support.receipt_answers import answer, encode_answer

IMAGE = b"\x89PNG an image"
HALF_REQUEST = b"POST /api/document HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf"
DATA_URL = "data:image/png;base64," + base64.b64encode(IMAGE).decode()


def page(index: int = 0, total: int = 1, **fields: Any) -> Page:
    """A page with a title, a paragraph and an image."""
    blocks = [
        {"block_label": "doc_title", "block_content": "# Tea", "block_bbox": [1, 1, 90, 10], "block_id": 0},
        {"block_label": "text", "block_content": "Two cups.", "block_bbox": [1, 20, 90, 30], "block_id": 1},
    ]
    content = {"width": 100, "height": 60, "parsing_res_list": blocks, "model_settings": {}}
    images = {"imgs/a.jpg": b"\xff\xd8crop"}
    values: dict[str, Any] = {"markdown": "# Tea\n\nTwo cups.", "content": content, "images": images}
    messages = {"error": "", "warning": ""}
    return Page(index=index, done=index + 1, total=total, **{**messages, **values, **fields})


def document(**fields: Any) -> Document:
    """A whole one, without its pages."""
    return Document(**{"markdown": "# Tea\n\nTwo cups.", **fields})


HANG: Any = object()
"""An item of a document that never comes."""


class ScriptedReader:
    """Reads `pieces` in every image, `items` in every document and `fields` on every receipt.

    An error among them, or `error`, is raised. `requests` are data and options of each request, `cancelled` counts
    those that were cancelled. It never answers while `hangs` is set, nor after an item that is `HANG`.
    """

    def __init__(self) -> None:
        self.pieces: list[str | Exception] = ["Soup ", "of the ", "day"]
        self.reason = FinishReason.STOP
        self.items: list[Page | Document | Exception] = [page(), document()]
        self.fields: dict[str, Any] = {}
        self.error: Exception | None = None
        self.hangs = False
        self.ready = True
        self.requests: list[tuple[bytes, Mapping[str, Any]]] = []
        self.cancelled = 0
        self.is_closed = False

    async def read(self, image: bytes, *, task: Task, timeout: float | None, **options: Any) -> Reading:
        await self._receive(image, {"task": task, "timeout": timeout, **options})
        return self._reading()

    async def stream(
        self, image: bytes, *, task: Task, timeout: float | None, **options: Any
    ) -> AsyncGenerator[str | Reading, None]:
        await self._receive(image, {"task": task, "timeout": timeout, **options})
        for piece in self.pieces:
            yield _or_raise(piece)
        yield self._reading()

    async def document_stream(
        self, file: bytes, *, timeout: float | None, **options: Any
    ) -> AsyncGenerator[Page | Document, None]:
        await self._receive(file, {"timeout": timeout, **options})
        for item in self.items:
            if item is HANG:
                await self._hang()
            yield _or_raise(item)

    async def receipt(self, image: bytes, *, timeout: float | None, **options: Any) -> Receipt:
        await self._receive(image, {"timeout": timeout, **options})
        drawing = b"\xff\xd8drawing" if options["visualize"] else b""
        return decode_receipt(encode_answer(answer(**self.fields), drawing))

    async def is_ready(self) -> bool:
        return self.ready

    async def aclose(self) -> None:
        self.is_closed = True

    async def _receive(self, data: bytes, options: Mapping[str, Any]) -> None:
        self.requests.append((data, options))
        if self.error:
            raise self.error
        if self.hangs:
            await self._hang()

    async def _hang(self) -> None:
        try:
            await asyncio.sleep(WAIT_SECONDS)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise

    def _reading(self) -> Reading:
        return Reading("".join(str(piece) for piece in self.pieces), self.reason, 7, 3)


def _or_raise(item: Any) -> Any:
    if isinstance(item, Exception):
        raise item
    return item


class SharedPool(RestructurePool):
    """Shared by all applications of these tests, since PaddleX takes seconds to import; it ends with this process."""

    async def close(self) -> None:
        """Stay open for the next application."""


_POOL = SharedPool(WAIT_SECONDS)


def make_app(
    reader: ScriptedReader,
    fetcher: Fetcher | None = None,
    restructure_pool: RestructurePool = _POOL,
    **settings: Any,
) -> FastAPI:
    """The application in front of it."""
    return create_app(GatewaySettings(**settings), reader, fetcher=fetcher, restructure_pool=restructure_pool)


class GatewayClient:
    """Sends requests to an application in this process; an unexpected error is answered, not raised."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app

    def request(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(self._app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
                return await client.request(method, path, **arguments)

        return asyncio.run(send())

    def post(self, path: str, **arguments: Any) -> httpx.Response:
        return self.request("POST", path, **arguments)

    def get(self, path: str, **arguments: Any) -> httpx.Response:
        return self.request("GET", path, **arguments)


@contextlib.contextmanager
def serve_app(app: FastAPI | Callable[[], FastAPI], http: Any = "auto") -> Iterator[str]:
    """Run an application, or what makes it in the server's loop, with uvicorn on a free port: its URL."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(
            uvicorn.Config(
                app,
                factory=not isinstance(app, FastAPI),
                http=http,
                log_level="warning",
                timeout_graceful_shutdown=1,
            )
        )
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            end = time.monotonic() + WAIT_SECONDS
            while not server.started:
                assert time.monotonic() < end, "it did not start"
                time.sleep(0.01)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(WAIT_SECONDS)


def connect(url: str) -> socket.socket:
    """A connection to this server."""
    parts = urlsplit(url)
    return socket.create_connection((parts.hostname or "", parts.port or 0), timeout=WAIT_SECONDS)


def is_in_progress(url: str) -> bool:
    """Whether the gateway counts an inference request in progress."""
    return "http_requests_in_progress 0.0" not in httpx.get(url + "/metrics").text


def chat(text: str | None = "OCR:", url: str = DATA_URL, **fields: Any) -> dict[str, Any]:
    """The body of a chat completion, as PaddleOCR's client sends it."""
    content: list[dict[str, Any]] = [{"type": "image_url", "image_url": {"url": url}}]
    if text is not None:
        content.append({"type": "text", "text": text})
    return {"model": "PaddleOCR-VL-1.6-0.9B", "messages": [{"role": "user", "content": content}], **fields}
