"""Documents: their pages read side by side, and sent in order.

A document holds a few pages at a time, whatever its length.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import replace
from typing import Any, Final

from ocrvl.messages import Array
from ocrvl.models.admission import Admission
from ocrvl.models.dispatcher import Dispatcher
from ocrvl.models.document.bls import Models
from ocrvl.models.document.page_reader import PageReader
from ocrvl.models.document.request import DocumentRequest, OpenDocument
from ocrvl.models.document.results import Page, encode_pages, encode_whole, files_as_base64
from ocrvl.options import check_adapters
from ocrvl.settings import DocumentSettings
from ocrvl.triton.context import Call
from ocrvl.triton.loop import LoopThread
from ocrvl.wire import Tensor

_AHEAD: Final = 16
"""Pages that may be done before one that comes before them."""

Response = Mapping[Tensor, Array]


class DocumentDispatcher(Dispatcher[DocumentRequest]):
    """Has the pages of at most `max_documents` read; `streams` says whether they are sent one by one or all at once."""

    def __init__(
        self,
        models: Models,
        reader: PageReader,
        settings: DocumentSettings,
        *,
        streams: bool,
        loop: LoopThread,
        on_finished: Callable[[DocumentRequest], None],
        adapters: Collection[str] = (),
    ) -> None:
        super().__init__(Admission(settings.max_documents), loop, on_finished)
        self._models = models
        self._reader = reader
        self._settings = settings
        self._adapters = adapters
        self._streams = streams

    def receive(self, call: Call) -> DocumentRequest:
        """The request of a call."""
        return DocumentRequest(call)

    def decode(self, request: DocumentRequest) -> None:
        """Read its options and its file. Raises `InvalidArgument`."""
        request.decode(self._settings.max_file_bytes)
        check_adapters(request.options.adapter, self._adapters)

    async def work(self, request: DocumentRequest) -> None:
        """Read its pages, and send each as soon as it and those before it are done where that is asked for."""
        document = await self._reader.open(request)
        done: list[Page] = []
        try:
            async with aclosing(self._read_pages(document)) as finished:
                async for page in finished:
                    done.append(page)
                    if self._streams and not request.options.restructure_pages:
                        response = encode_pages([page], len(done), len(document.chosen))
                        await self._reader.run(self._send, request, response)
                        # what the document as a whole is made of is all that is still needed
                        done[-1] = Page(page.index, result=page.result)
        finally:
            # in whichever thread is free: it also ends the drawing of a page that nobody waits for any more
            await self._reader.run(document.pages.close)
        if document.is_late:
            # what is still being read for pages that are too late
            with suppress(Exception):
                await self._models.end(request.token)
        request.rest = await self._reader.run(self._join, request, done)

    async def abort(self, request: DocumentRequest) -> None:
        """End what the engines still read for it."""
        await self._models.end(request.token)

    async def answer(self, request: DocumentRequest) -> None:
        """Send what has not been sent, and the document as a whole."""
        await self._reader.run(self._send_rest, request)

    async def _read_pages(self, document: OpenDocument) -> AsyncGenerator[Page, None]:
        """Pages in order, each as soon as it and those before it are done."""
        at_once = asyncio.Semaphore(self._settings.pages_at_once)
        begun: asyncio.Queue[asyncio.Task[Page]] = asyncio.Queue(self._settings.pages_at_once + _AHEAD)

        async def begin() -> None:
            for index in document.chosen:
                await at_once.acquire()
                task = asyncio.create_task(self._reader.read(document, index))
                task.add_done_callback(lambda _: at_once.release())
                tasks.add(task)
                task.add_done_callback(tasks.discard)
                await begun.put(task)

        tasks: set[asyncio.Task[Any]] = set()
        tasks.add(asyncio.create_task(begin()))
        try:
            for _ in document.chosen:
                task = await begun.get()
                yield await task
        finally:
            for task in tuple(tasks):
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _join(self, request: DocumentRequest, done: list[Page]) -> Iterable[Response]:
        """The responses that are left to send: they are encoded when they are sent."""
        parts, docx = self._reader.join([page.result for page in done if page.result is not None], request.options)
        whole = encode_whole("\n\n".join(filter(None, (part.markdown(request.options) for part in parts))), docx)
        if request.options.restructure_pages:
            by_index = dict(zip((page.index for page in done if page.result is not None), parts, strict=True))
            done = [
                replace(page, markdown=part.markdown(request.options), content=part.pruned())
                if (part := by_index.get(page.index))
                else page
                for page in done
            ]
        request.pages = len(done)
        return self._last_responses(request, done, whole)

    def _last_responses(self, request: DocumentRequest, done: Sequence[Page], whole: Response) -> Iterator[Response]:
        if not self._streams:
            yield {**encode_pages(done, len(done), len(done)), **whole}
            return
        if request.options.restructure_pages:
            for number, page in enumerate(done, 1):
                yield encode_pages([page], number, len(done))
        yield whole

    def _send_rest(self, request: DocumentRequest) -> None:
        if not self._streams:
            (response,) = request.rest
            request.call.answer(_as_asked(request, response))
            return
        for response in request.rest:
            self._send(request, response)
        request.call.end()

    def _send(self, request: DocumentRequest, response: Response) -> None:
        request.call.send(_as_asked(request, response))


def _as_asked(request: DocumentRequest, response: Response) -> Response:
    return files_as_base64(response) if request.options.base64_files else response
