"""Documents under way: their pages drawn, looked at and read side by side, and sent in order.

A document holds a few pages at a time, whatever its length. All of an instance's documents share the room in front of
the engine, in turns, and what they send there is never so much that the engine's door closes behind it.
"""

from __future__ import annotations

import asyncio
import hashlib
import threading
import time
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import aclosing, suppress
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image

from ocrvl.errors import Cancelled, InvalidArgument, OcrError, Unavailable, error_from_message
from ocrvl.files import decode_file
from ocrvl.imaging.decode import ImageLimits
from ocrvl.messages import Array
from ocrvl.metrics.definitions import CancelReason, Outcome, PageStage
from ocrvl.models.document.drawing import Drawers, DrawTimes
from ocrvl.models.document.ink import find_ink
from ocrvl.models.document.options import DocumentOptions, choose_pages, parse_document_options
from ocrvl.models.document.paddle import BlockText, Crop, PaddlePipeline, PageResult
from ocrvl.models.document.pages import PageImage, Pages, open_pages
from ocrvl.models.document.results import Page, draw_blocks, encode_jpeg, encode_pages, encode_whole, files_as_base64
from ocrvl.models.layout_options import LayoutOptions
from ocrvl.models.regions import Region
from ocrvl.models.stream.streaming import StreamCall
from ocrvl.triton.loop import LoopThread
from ocrvl.wire import Tensor

_LOOK_SECONDS: Final = 0.1
_AHEAD: Final = 16
"""Pages that may be done before one that comes before them."""

_RETRY_SECONDS: Final = 1.0


T = TypeVar("T")


class DocumentCall(StreamCall, Protocol):
    """A request from Triton that is answered at once or in several responses."""

    def answer(self, tensors: Mapping[Tensor, Array]) -> None:
        """Send the only response."""


class Models(Protocol):
    """The other models of the server, as a document needs them. Their methods raise `OcrError`."""

    async def find_blocks(
        self, page: npt.NDArray[np.uint8], options: LayoutOptions, call: DocumentCall
    ) -> list[Region]:
        """The blocks of a page in reading order; `call` is the document's."""

    async def read_blocks(
        self, crops: Sequence[Crop], options: DocumentOptions, token: str, call: DocumentCall
    ) -> list[BlockText]:
        """The texts of blocks; `token` ends them, `call`, the document's, says whose turn it is."""

    async def end(self, token: str) -> None:
        """End what carries the token."""


@dataclass(frozen=True)
class Limits:
    """What a document may be, and how much of it is held at a time."""

    max_documents: int = 8
    max_pages: int = 1000
    max_file_bytes: int = 256 * 1024 * 1024
    max_page_pixels: int = 40_000_000
    max_blocks: int = 500
    pages_at_once: int = 4
    retry_timeout_seconds: float = 120.0
    draw_times: DrawTimes = field(default_factory=DrawTimes)
    document_seconds: float = 3600.0


@dataclass(eq=False)
class _Document:
    call: DocumentCall
    options: DocumentOptions
    arrived: float
    token: str
    ends: float
    """When the pages that are left are given up, on the loop's clock."""

    task: asyncio.Task[int] | None = None
    reason: CancelReason | None = None
    drawing: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while one of its pages is drawn: a slow document takes one thread, and leaves the others to the others."""


class DocumentHost:
    """Takes requests from `execute`, which `take` blocks while `max_documents` are under way; ends each exactly once.

    `streams` says whether pages are sent one by one or all at once. `unexpected` makes an error for a caller of what
    nobody foresaw. `on_finished` is told how each ended, how many
    pages it had and the seconds it took, `on_stage` how long a part of a page's work took.
    """

    def __init__(
        self,
        models: Models,
        pipeline: PaddlePipeline,
        limits: Limits,
        *,
        streams: bool,
        unexpected: Callable[[Exception], OcrError],
        on_finished: Callable[[Outcome, int, float, str], None] = lambda *_: None,
        on_stage: Callable[[PageStage, float], None] = lambda *_: None,
        on_cancelled: Callable[[CancelReason], None] = lambda _reason: None,
    ) -> None:
        self._models = models
        self._pipeline = pipeline
        self._limits = limits
        self._streams = streams
        self._unexpected = unexpected
        self._on_finished = on_finished
        self._on_stage = on_stage
        self._on_cancelled = on_cancelled
        self._room = threading.Semaphore(limits.max_documents)
        self._documents: set[_Document] = set()
        # drawing is one page of a document at a time; reading a page waits for its blocks
        self._drawing = ThreadPoolExecutor(limits.max_documents, "drawing")
        self._drawers = Drawers()
        self._reading = ThreadPoolExecutor(limits.max_documents * limits.pages_at_once, "reading")

    @property
    def open_documents(self) -> int:
        """Documents under way."""
        return len(self._documents)

    def take(self, call: DocumentCall, loop: LoopThread) -> None:
        """Take a request in, waiting while too many are under way."""
        arrived = time.monotonic()
        try:
            raw = call.read.optional(Tensor.OPTIONS)
            options = parse_document_options(None if raw is None else raw.item())
            data = self._file(call)
        except Exception as error:
            self._refuse(call, arrived, error)
            return
        deadline = None if options.timeout_ms is None else arrived + options.timeout_ms / 1000
        while not self._room.acquire(timeout=_LOOK_SECONDS):
            reason = None
            if call.is_abandoned():
                reason = CancelReason.CALLER
            elif deadline is not None and time.monotonic() >= deadline:
                reason = CancelReason.TIMEOUT
            if reason:
                self._on_cancelled(reason)
                self._refuse(call, arrived, Cancelled("ended while it waited"))
                return
        ends = time.monotonic() + self._limits.document_seconds
        document = _Document(call, options, arrived, options.cancel_token or uuid.uuid4().hex, ends)
        loop.submit(self._serve(document, data, deadline))

    def stop(self) -> None:
        """End the processes that waited for more pages to draw; after the last document."""
        self._drawers.close()

    def end_abandoned(self) -> int:
        """End the documents of callers that have gone away. Asks the server about each: not for an event loop.

        About how many it asked.
        """
        asked = tuple(self._documents)
        for document in asked:
            if (task := document.task) and document.call.is_abandoned():
                document.reason = CancelReason.CALLER
                task.get_loop().call_soon_threadsafe(task.cancel)
        return len(asked)

    def _file(self, call: DocumentCall) -> bytes:
        data: bytes = call.read(Tensor.FILE).item()
        if len(data) > self._limits.max_file_bytes:
            raise InvalidArgument(f"the file has {len(data)} bytes, at most {self._limits.max_file_bytes} are taken")
        return data

    def _refuse(self, call: DocumentCall, arrived: float, error: Exception) -> None:
        call.fail(error)
        self._on_finished(Outcome.from_error(error), 0, time.monotonic() - arrived, call.request_id)

    async def _serve(self, document: _Document, data: bytes, deadline: float | None) -> None:
        # in a task of its own, so that what cancels the document does not cancel what has to follow
        document.task = asyncio.ensure_future(self._answer(document, data))
        self._documents.add(document)
        error: Exception | None = None
        try:
            async with asyncio.timeout_at(deadline):
                await document.task
        except TimeoutError:
            document.reason = CancelReason.TIMEOUT
            error = Cancelled("timeout_ms has passed")
        except asyncio.CancelledError:
            error = Cancelled("its caller went away")
        except Exception as failure:
            error = failure
        finally:
            self._documents.discard(document)
        pages = 0
        try:
            if error is None:
                pages = document.task.result()
            else:
                if document.reason:
                    self._on_cancelled(document.reason)
                # what is still being read for it is of no use to anyone
                with suppress(Exception):
                    await self._models.end(document.token)
                document.call.fail(error)
        finally:
            self._room.release()
            self._on_finished(
                Outcome.from_error(error), pages, time.monotonic() - document.arrived, document.call.request_id
            )

    async def _answer(self, document: _Document, data: bytes) -> int:
        """Read a document and send it; how many pages it had."""
        options = document.options
        run = asyncio.get_running_loop().run_in_executor
        page_limits = ImageLimits(max_bytes=self._limits.max_file_bytes, max_pixels=self._limits.max_page_pixels)
        data = await run(self._reading, _unwrapped, data)
        pages = await run(
            self._drawing, open_pages, data, options.dpi, page_limits, self._drawers, self._limits.draw_times
        )
        try:
            limit = min(self._limits.max_pages, options.max_pages or self._limits.max_pages)
            chosen = choose_pages(options.pages, pages.count, limit)
            key = hashlib.sha256(data).hexdigest()[:12]
            del data
            done: list[Page] = []
            async with aclosing(self._read_pages(document, pages, chosen, key)) as finished:
                async for page in finished:
                    done.append(page)
                    if self._streams and not options.restructure_pages:
                        await run(self._reading, self._send, document, encode_pages([page], len(done), len(chosen)))
                        # what the document as a whole is made of is all that is still needed
                        done[-1] = Page(page.index, result=page.result)
        finally:
            # in whichever thread is free: it also ends the drawing of a page that nobody waits for any more
            await run(self._reading, pages.close)
        if time.monotonic() >= document.ends:
            # what is still being read for pages that were given up
            with suppress(Exception):
                await self._models.end(document.token)
        await run(self._reading, self._finish, document, done, len(chosen))
        return len(chosen)

    def _finish(self, document: _Document, done: list[Page], total: int) -> None:
        """Send the document as a whole, and with it what has not been sent."""
        options, call = document.options, document.call
        whole, parts = self._whole([page.result for page in done if page.result is not None], options)
        if options.restructure_pages:
            by_index = dict(zip((page.index for page in done if page.result is not None), parts, strict=True))
            done = [
                replace(page, markdown=part.markdown(options), content=part.pruned())
                if (part := by_index.get(page.index))
                else page
                for page in done
            ]
        if not self._streams:
            call.answer(_files_as_asked({**encode_pages(done, total, total), **whole}, options))
            return
        if options.restructure_pages:
            for number, page in enumerate(done, 1):
                self._send(document, encode_pages([page], number, total))
        self._send(document, whole)
        call.end()

    def _send(self, document: _Document, tensors: Mapping[Tensor, Array]) -> None:
        document.call.send(_files_as_asked(tensors, document.options))

    def _whole(
        self, results: list[PageResult], options: DocumentOptions
    ) -> tuple[dict[Tensor, Array], list[PageResult]]:
        """The document as a whole, and its pages as parts of it."""
        parts = self._pipeline.restructure(results, options) if results else []
        markdown = "\n\n".join(filter(None, (page.markdown(options) for page in parts)))
        docx = self._pipeline.docx(parts) if parts and "docx" in options.output_formats else b""
        return encode_whole(markdown, docx), parts

    async def _read_pages(
        self, document: _Document, pages: Pages, chosen: Sequence[int], key: str
    ) -> AsyncGenerator[Page, None]:
        """Pages in order, each as soon as it and those before it are done."""
        at_once = asyncio.Semaphore(self._limits.pages_at_once)
        begun: asyncio.Queue[asyncio.Task[Page]] = asyncio.Queue(self._limits.pages_at_once + _AHEAD)

        async def begin() -> None:
            for index in chosen:
                await at_once.acquire()
                task = asyncio.create_task(self._read_page(document, pages, index, key))
                task.add_done_callback(lambda _: at_once.release())
                tasks.add(task)
                task.add_done_callback(tasks.discard)
                await begun.put(task)

        tasks: set[asyncio.Task[Any]] = set()
        tasks.add(asyncio.create_task(begin()))
        try:
            for _ in chosen:
                task = await begun.get()
                yield await task
        finally:
            for task in tuple(tasks):
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _read_page(self, document: _Document, pages: Pages, index: int, key: str) -> Page:
        notes: list[str] = []
        try:
            # not even begun once it is late: what is drawn in vain would keep other documents' pages from a thread
            if time.monotonic() < document.ends:
                async with asyncio.timeout_at(document.ends):
                    page = await self._try_page(document, pages, index, key, notes)
                    return replace(page, warning=_join(*notes, page.warning))
            error: OcrError = self._too_late()
        except (Cancelled, Unavailable):
            raise
        except Exception as failure:
            if isinstance(failure, TimeoutError) and time.monotonic() >= document.ends:
                error = self._too_late()
            else:
                error = failure if isinstance(failure, OcrError) else self._unexpected(failure)
        if document.options.strict:
            raise type(error)(f"page {index + 1}: {error}") from None
        return Page(index, error=error.tagged, warning=_join(*notes))

    def _too_late(self) -> Cancelled:
        seconds = self._limits.document_seconds
        return Cancelled(f"not read: the document has taken {seconds:g} s, ask for the page with the option pages")

    async def _timed(self, stage: PageStage, work: Awaitable[T]) -> T:
        began = time.monotonic()
        try:
            return await work
        finally:
            self._on_stage(stage, time.monotonic() - began)

    async def _draw(self, document: _Document, pages: Pages, index: int) -> PageImage:
        async with document.drawing:
            return await asyncio.get_running_loop().run_in_executor(self._drawing, pages.draw, index)

    async def _try_page(self, document: _Document, pages: Pages, index: int, key: str, notes: list[str]) -> Page:
        """Read a page; what is to be said of it is in `notes`, also where it fails."""
        image = await self._timed(PageStage.DRAW, self._draw(document, pages, index))
        notes.append(image.warning)
        regions = await self._timed(PageStage.LAYOUT, self._find_blocks(document, image, notes))
        if len(regions) > self._limits.max_blocks:
            notes.append(f"{len(regions)} blocks, the first {self._limits.max_blocks} are read")
            regions = regions[: self._limits.max_blocks]
        page = await self._timed(PageStage.READ, self._read_blocks(document, image, regions, index, pages.count, key))
        if regions and not page.has_errors:
            notes.append(page.what_is_missing(document.options))
        return page

    async def _find_blocks(self, document: _Document, image: PageImage, notes: list[str]) -> list[Region]:
        options, call = document.options, document.call
        if not options.use_layout_detection:
            height, width, _ = image.pixels.shape
            return [Region(options.prompt_label or "ocr", 1.0, (0, 0, width, height))]
        if regions := await self._patient(lambda: self._models.find_blocks(image.pixels, options.layout, call)):
            return regions
        box = await asyncio.get_running_loop().run_in_executor(self._reading, find_ink, image.pixels)
        if box is None:
            notes.append("the page is blank")
            return []
        notes.append("no blocks were found on the page: what is printed is read as one")
        return [Region("text", 1.0, box)]

    async def _read_blocks(
        self,
        document: _Document,
        image: PageImage,
        regions: Sequence[Region],
        index: int,
        count: int,
        key: str,
    ) -> Page:
        options = document.options
        loop = asyncio.get_running_loop()
        reads: set[Future[list[BlockText]]] = set()
        has_ended = threading.Event()

        async def read(crops: Sequence[Crop]) -> list[BlockText]:
            return await self._patient(lambda: self._models.read_blocks(crops, options, document.token, document.call))

        def recognise(crops: Sequence[Crop]) -> list[BlockText]:
            if has_ended.is_set():
                raise Cancelled("the document has been ended")
            future = asyncio.run_coroutine_threadsafe(read(crops), loop)
            reads.add(future)
            return future.result()

        def work() -> Page:
            result = self._pipeline.read_page(
                image.pixels, regions, options, recognise, index=index, count=count, key=f"{key}_p{index + 1:04d}"
            )
            return _finish_page(result, image, options, index)

        thread = loop.run_in_executor(self._reading, work)
        try:
            page = await asyncio.shield(thread)
        except asyncio.CancelledError:
            has_ended.set()
            while not thread.done():
                # it waits for these, and may just have begun another
                for future in tuple(reads):
                    future.cancel()
                await asyncio.wait([thread], timeout=_LOOK_SECONDS)
            with suppress(Exception, asyncio.CancelledError):
                thread.result()
            raise
        if options.strict and page.result is not None and page.result.errors:
            number, message = next(iter(page.result.errors.items()))
            error = error_from_message(message)
            raise type(error)(f"block {number}: {error}")
        return page

    async def _patient(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask again while the model is full or its engine restarts: what has been read is not given up for that."""
        give_up = time.monotonic() + self._limits.retry_timeout_seconds
        while True:
            try:
                return await ask()
            except Unavailable:
                if time.monotonic() >= give_up:
                    raise
                await asyncio.sleep(_RETRY_SECONDS)


def _finish_page(result: PageResult, page_image: PageImage, options: DocumentOptions, index: int) -> Page:
    content = result.pruned()
    images = {}
    if options.return_markdown_images:
        images = {name: encode_jpeg(image) for name, image in result.images(options).items()}
    if options.visualize:
        images[f"page_{index + 1:04d}.jpg"] = draw_blocks(page_image.pixels, content["parsing_res_list"])
    if options.return_page_images:
        images[f"page_{index + 1:04d}_input.jpg"] = encode_jpeg(Image.fromarray(page_image.pixels))
    markdown = result.markdown(options)
    if "docx" not in options.output_formats:
        result.forget_images()
    return Page(index, markdown, content, images, warning=_join(*result.warnings), result=result)


def _join(*warnings: str) -> str:
    return "; ".join(filter(None, warnings))


def _unwrapped(data: bytes) -> bytes:
    try:
        return decode_file(data)
    except ValueError as error:
        raise InvalidArgument(str(error)) from None


def _files_as_asked(tensors: Mapping[Tensor, Array], options: DocumentOptions) -> Mapping[Tensor, Array]:
    return files_as_base64(tensors) if options.base64_files else tensors
