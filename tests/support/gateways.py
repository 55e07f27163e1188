"""What tests of the gateway share: a reader that behaves, the application in this process, and on a port."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import socket
import threading
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI

from ocrvl.wire import FinishReason, Task
from ocrvl_client import Document, Page, Reading
from ocrvl_gateway.app import create_app
from ocrvl_gateway.fetch import Fetcher
from ocrvl_gateway.paddle.restructurer import Restructurer
from ocrvl_gateway.settings import GatewaySettings
from tests.support.doubles import PATIENCE

IMAGE = b"\x89PNG an image"
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
    said = {"error": "", "warning": ""}
    return Page(index=index, done=index + 1, total=total, **{**said, **values, **fields})


def document(**fields: Any) -> Document:
    """A whole one, without its pages."""
    return Document(**{"markdown": "# Tea\n\nTwo cups.", **fields})


HOLD: Any = object()
"""A part of a document that never comes."""


class ScriptedReader:
    """Reads `words` in every image and `parts` in every document; an error among them, or `error`, is raised.

    `asked` are the requests, `ended` counts those that were cancelled. It never answers while `holds` is set, nor after
    a part that is `HOLD`.
    """

    def __init__(self) -> None:
        self.words: list[str | Exception] = ["Soup ", "of the ", "day"]
        self.reason = FinishReason.STOP
        self.parts: list[Page | Document | Exception] = [page(), document()]
        self.error: Exception | None = None
        self.holds = False
        self.ready = True
        self.asked: list[tuple[bytes, Mapping[str, Any]]] = []
        self.ended = 0
        self.is_closed = False

    async def read(self, image: bytes, *, task: Task, timeout: float | None, **options: Any) -> Reading:
        await self._ask(image, {"task": task, "timeout": timeout, **options})
        return self._reading()

    async def stream(
        self, image: bytes, *, task: Task, timeout: float | None, **options: Any
    ) -> AsyncGenerator[str | Reading, None]:
        await self._ask(image, {"task": task, "timeout": timeout, **options})
        for word in self.words:
            yield _or_raise(word)
        yield self._reading()

    async def document_stream(
        self, file: bytes, *, timeout: float | None, **options: Any
    ) -> AsyncGenerator[Page | Document, None]:
        await self._ask(file, {"timeout": timeout, **options})
        for part in self.parts:
            if part is HOLD:
                await self._hold()
            yield _or_raise(part)

    async def is_ready(self) -> bool:
        return self.ready

    async def aclose(self) -> None:
        self.is_closed = True

    async def _ask(self, data: bytes, options: Mapping[str, Any]) -> None:
        self.asked.append((data, options))
        if self.error:
            raise self.error
        if self.holds:
            await self._hold()

    async def _hold(self) -> None:
        try:
            await asyncio.sleep(PATIENCE)
        except asyncio.CancelledError:
            self.ended += 1
            raise

    def _reading(self) -> Reading:
        return Reading("".join(str(word) for word in self.words), self.reason, 7, 3)


def _or_raise(item: Any) -> Any:
    if isinstance(item, Exception):
        raise item
    return item


class SharedRestructurer(Restructurer):
    """For all applications of these tests, since PaddleX takes seconds to import; it ends with this process."""

    async def close(self) -> None:
        """Stay for the next."""


_RESTRUCTURER = SharedRestructurer(PATIENCE)


def make_app(
    reader: ScriptedReader,
    fetcher: Fetcher | None = None,
    restructurer: Restructurer = _RESTRUCTURER,
    **settings: Any,
) -> FastAPI:
    """The application in front of it."""
    return create_app(GatewaySettings(**settings), reader, fetcher=fetcher, restructurer=restructurer)


class Caller:
    """Sends requests to an application in this process; an error that nobody foresaw is answered, not raised."""

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
def on_a_port(app: FastAPI | Callable[[], FastAPI], http: Any = "auto") -> Iterator[str]:
    """An application, or what makes it in the server's loop, on a free port with uvicorn: its address."""
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
            end = time.monotonic() + PATIENCE
            while not server.started:
                assert time.monotonic() < end, "it did not start"
                time.sleep(0.01)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(PATIENCE)


def chat(text: str | None = "OCR:", url: str = DATA_URL, **fields: Any) -> dict[str, Any]:
    """The body of a chat completion, as PaddleOCR's client sends it."""
    content: list[dict[str, Any]] = [{"type": "image_url", "image_url": {"url": url}}]
    if text is not None:
        content.append({"type": "text", "text": text})
    return {"model": "PaddleOCR-VL-1.6-0.9B", "messages": [{"role": "user", "content": content}], **fields}
