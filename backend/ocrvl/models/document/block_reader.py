"""The blocks of a page: found by `layout`, composed by PaddleOCR's rules of what the engine reads in them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Final, TypeVar

from ocrvl.errors import Cancelled, error_from_message
from ocrvl.models.document.bls import Models
from ocrvl.models.document.paddle import BlockText, Crop, PaddlePipeline
from ocrvl.models.document.pages import PageImage
from ocrvl.models.document.request import DocumentRequest, OpenDocument
from ocrvl.models.document.results import Page, finish_page
from ocrvl.models.parts import retry_unavailable
from ocrvl.models.regions import Region

_CHECK_SECONDS: Final = 0.1

T = TypeVar("T")


class BlockReader:
    """Calls the other models for the blocks of pages; `threads` are those in which PaddleOCR's rules compute.

    A model that is full, or whose engine restarts, is called again for `retry_timeout` seconds: what has been read of
    a document is not lost for that.
    """

    def __init__(
        self, models: Models, pipeline: PaddlePipeline, threads: ThreadPoolExecutor, retry_timeout: float
    ) -> None:
        self._models = models
        self._pipeline = pipeline
        self._threads = threads
        self._retry_timeout = retry_timeout

    async def find(self, image: PageImage, request: DocumentRequest) -> list[Region]:
        """The blocks that `layout` finds on a page. Raises `OcrError`."""
        return await self._retry(lambda: self._models.find_blocks(image.pixels, request.options.layout, request.call))

    async def read(self, document: OpenDocument, index: int, image: PageImage, regions: Sequence[Region]) -> Page:
        """A page of these blocks. Raises `OcrError`, for a block's error too where the document is `strict`."""
        page = await self._compose(document, index, image, regions)
        if document.request.options.strict and page.result is not None and page.result.errors:
            number, message = next(iter(page.result.errors.items()))
            error = error_from_message(message)
            raise type(error)(f"block {number}: {error}")
        return page

    async def _compose(self, document: OpenDocument, index: int, image: PageImage, regions: Sequence[Region]) -> Page:
        request, options = document.request, document.request.options
        loop = asyncio.get_running_loop()
        reads: set[Future[list[BlockText]]] = set()
        has_ended = threading.Event()

        async def read(crops: Sequence[Crop]) -> list[BlockText]:
            return await self._retry(lambda: self._models.read_blocks(crops, options, request.token, request.call))

        def recognise(crops: Sequence[Crop]) -> list[BlockText]:
            if has_ended.is_set():
                raise Cancelled("the document has been ended")
            future = asyncio.run_coroutine_threadsafe(read(crops), loop)
            reads.add(future)
            return future.result()

        def compose() -> Page:
            key = f"{document.key}_p{index + 1:04d}"
            result = self._pipeline.read_page(
                image.pixels, regions, options, recognise, index=index, count=document.pages.count, key=key
            )
            return finish_page(result, image.pixels, options, index)

        thread = loop.run_in_executor(self._threads, compose)
        try:
            return await asyncio.shield(thread)
        except asyncio.CancelledError:
            has_ended.set()
            while not thread.done():
                # it waits for these, and may just have begun another
                for future in tuple(reads):
                    future.cancel()
                await asyncio.wait([thread], timeout=_CHECK_SECONDS)
            with suppress(Exception, asyncio.CancelledError):
                thread.result()
            raise

    async def _retry(self, call: Callable[[], Awaitable[T]]) -> T:
        return await retry_unavailable(call, self._retry_timeout)
