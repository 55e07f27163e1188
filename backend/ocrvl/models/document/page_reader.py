"""One page of a document: drawn, looked at, and read block by block."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, TypeVar

from ocrvl.errors import Cancelled, InvalidArgument, OcrError, Unavailable
from ocrvl.files import decode_file
from ocrvl.imaging.decode import ImageLimits
from ocrvl.metrics.definitions import PageStage
from ocrvl.models.document.block_reader import BlockReader
from ocrvl.models.document.bls import Models
from ocrvl.models.document.drawing import Drawers, DrawTimes
from ocrvl.models.document.ink import find_ink
from ocrvl.models.document.options import DocumentOptions, choose_pages
from ocrvl.models.document.paddle import PaddlePipeline, PageResult
from ocrvl.models.document.pages import PageImage, open_pages
from ocrvl.models.document.request import DocumentRequest, OpenDocument
from ocrvl.models.document.results import Page, join_warnings
from ocrvl.models.regions import Region
from ocrvl.settings import DocumentSettings

T = TypeVar("T")


class PageReader:
    """Reads pages with the other models of the server, and PaddleOCR's rules.

    `unexpected` makes an error for a caller of what nobody foresaw; `on_stage` is told how long a part of a page took.
    """

    def __init__(
        self,
        models: Models,
        pipeline: PaddlePipeline,
        settings: DocumentSettings,
        *,
        unexpected: Callable[[Exception], OcrError],
        on_stage: Callable[[PageStage, float], None] = lambda *_: None,
    ) -> None:
        self._pipeline = pipeline
        self._settings = settings
        self._unexpected = unexpected
        self._on_stage = on_stage
        # drawing is one page of a document at a time; reading a page waits for its blocks
        self._drawing = ThreadPoolExecutor(settings.max_documents, "drawing")
        self._drawers = Drawers()
        self._reading = ThreadPoolExecutor(settings.max_documents * settings.pages_at_once, "reading")
        self._blocks = BlockReader(models, pipeline, self._reading, settings.retry_timeout_seconds)

    async def run(self, function: Callable[..., T], *arguments: Any) -> T:
        """Call a function that computes in a thread of those that read."""
        return await asyncio.get_running_loop().run_in_executor(self._reading, function, *arguments)

    def close(self) -> None:
        """End the processes that waited for more pages to draw; after the last document."""
        self._drawers.close()

    async def open(self, request: DocumentRequest) -> OpenDocument:
        """Open a document's file, and let the request's go. Raises `InvalidArgument`."""
        settings, options = self._settings, request.options
        ends_at = time.monotonic() + settings.document_seconds
        data = await self.run(_unwrap, request.file)
        request.file = b""
        pages = await asyncio.get_running_loop().run_in_executor(
            self._drawing,
            open_pages,
            data,
            options.dpi,
            ImageLimits(max_bytes=settings.max_file_bytes, max_pixels=settings.max_page_pixels),
            self._drawers,
            DrawTimes(settings.draw_seconds, settings.document_draw_seconds),
        )
        try:
            limit = min(settings.max_pages, options.max_pages or settings.max_pages)
            chosen = choose_pages(options.pages, pages.count, limit)
        except BaseException:
            await self.run(pages.close)
            raise
        key = hashlib.sha256(data).hexdigest()[:12]
        return OpenDocument(request, pages, chosen, key, ends_at)

    async def read(self, document: OpenDocument, index: int) -> Page:
        """Read a page. One that cannot be read has its error, or raises it where the document is `strict`.

        Raises `Unavailable` where a model stays away too long.
        """
        notes: list[str] = []
        try:
            # not even begun once it is late: what is drawn in vain would keep other documents' pages from a thread
            if not document.is_late:
                async with asyncio.timeout_at(document.ends_at):
                    page = await self._try_page(document, index, notes)
                    return replace(page, warning=join_warnings(*notes, page.warning))
            error: OcrError = self._too_late()
        except (Cancelled, Unavailable):
            raise
        except Exception as failure:
            if isinstance(failure, TimeoutError) and document.is_late:
                error = self._too_late()
            else:
                error = failure if isinstance(failure, OcrError) else self._unexpected(failure)
        if document.request.options.strict:
            raise type(error)(f"page {index + 1}: {error}") from None
        return Page(index, error=error.tagged, warning=join_warnings(*notes))

    def join(self, results: list[PageResult], options: DocumentOptions) -> tuple[list[PageResult], bytes]:
        """The pages as parts of a whole, and, where it is asked for, that as a Word file."""
        parts = self._pipeline.restructure(results, options) if results else []
        return parts, self._pipeline.docx(parts) if parts and "docx" in options.output_formats else b""

    async def _try_page(self, document: OpenDocument, index: int, notes: list[str]) -> Page:
        """Read a page; what is to be said of it is in `notes`, also where it fails."""
        options = document.request.options
        image = await self._timed(PageStage.DRAW, self._draw(document, index))
        notes.append(image.warning)
        regions = await self._timed(PageStage.LAYOUT, self._find_blocks(document.request, image, notes))
        if len(regions) > self._settings.max_page_blocks:
            notes.append(f"{len(regions)} blocks, the first {self._settings.max_page_blocks} are read")
            regions = regions[: self._settings.max_page_blocks]
        page = await self._timed(PageStage.READ, self._blocks.read(document, index, image, regions))
        if regions and not page.has_errors:
            notes.append(page.what_is_missing(options))
        return page

    async def _draw(self, document: OpenDocument, index: int) -> PageImage:
        async with document.request.drawing:
            return await asyncio.get_running_loop().run_in_executor(self._drawing, document.pages.draw, index)

    async def _find_blocks(self, request: DocumentRequest, image: PageImage, notes: list[str]) -> list[Region]:
        options = request.options
        if not options.use_layout_detection:
            height, width, _ = image.pixels.shape
            return [Region(options.prompt_label or "ocr", 1.0, (0, 0, width, height))]
        regions = await self._blocks.find(image, request)
        if regions:
            return regions
        box = await self.run(find_ink, image.pixels)
        if box is None:
            notes.append("the page is blank")
            return []
        notes.append("no blocks were found on the page: what is printed is read as one")
        return [Region("text", 1.0, box)]

    async def _timed(self, stage: PageStage, part: Awaitable[T]) -> T:
        began = time.monotonic()
        try:
            return await part
        finally:
            self._on_stage(stage, time.monotonic() - began)

    def _too_late(self) -> Cancelled:
        seconds = self._settings.document_seconds
        return Cancelled(f"not read: the document has taken {seconds:g} s, ask for the page with the option pages")


def _unwrap(data: bytes) -> bytes:
    try:
        return decode_file(data)
    except ValueError as error:
        raise InvalidArgument(str(error)) from None
