"""Inputs to results: many at a time, handed out in order, past what cannot be read and through a server's restart."""

from __future__ import annotations

import asyncio
import re
import time
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Final, TypeVar

from ocrvl_cli.reading.errors import InputError, ServerLost, ServerNotFound
from ocrvl_cli.reading.reader import Reader, Result
from ocrvl_cli.reading.record import modified_at
from ocrvl_cli.reading.sources import Input, SkippedInput
from ocrvl_cli.terminal import printable
from ocrvl_client import InvalidRequest, OcrvlError, RequestTimeout, ServerUnavailable

T = TypeVar("T")

_LOOKAHEAD: Final = 4
"""Times `jobs`: so many inputs may be done and wait for one before them."""

_ANSWER_SECONDS: Final = 10.0


@dataclass(frozen=True)
class Limits:
    """`jobs` inputs at a time, of these `documents` whole documents, which keep many blocks of their own in flight.

    Seconds: `start_retry_timeout` for a server that is not ready at the start, `retry_timeout` for one that went away
    in the middle, `poll` between two looks at it, `download` for a URL.
    """

    jobs: int = 32
    documents: int = 4
    start_retry_timeout: float = 0.0
    retry_timeout: float = 60.0
    download: float = 60.0
    poll: float = 1.0


class Batch:
    """One run. `explain` finds out why there is no server, which may take it a few seconds."""

    def __init__(self, reader: Reader, limits: Limits, explain: Callable[[], ServerNotFound]) -> None:
        self._reader, self._limits, self._explain = reader, limits, explain
        self._jobs = asyncio.Semaphore(limits.jobs)
        self._documents = asyncio.Semaphore(limits.documents)
        self._start = asyncio.Lock()
        self._started = False
        self._lost: ServerLost | None = None
        self.undelivered: list[Result] = []

    async def run(self, inputs: Iterable[Input | SkippedInput]) -> AsyncGenerator[Result, None]:
        """Read all; results come in the order of the inputs, their files are there before.

        Raises `RunAborted` when the rest cannot be read either. What is in flight then, or when the iterator is closed,
        is cancelled; what was done and not yet handed out is in `undelivered`.
        """
        waiting: deque[asyncio.Task[Result]] = deque()
        try:
            for one in inputs:
                waiting.append(asyncio.create_task(self._read(one)))
                # starts it: the next may take its time to be found
                await asyncio.sleep(0)
                while waiting and (len(waiting) > _LOOKAHEAD * self._limits.jobs or waiting[0].done()):
                    yield await _first(waiting)
            while waiting:
                yield await _first(waiting)
        finally:
            for task in waiting:
                task.cancel()
            ended = await asyncio.gather(*waiting, return_exceptions=True)
            self.undelivered = [result for result in ended if isinstance(result, Result)]

    async def _read(self, one: Input | SkippedInput) -> Result:
        result = Result(printable(one.name))
        if isinstance(one, SkippedInput):
            result.problems.append(one.reason)
            return result
        async with self._jobs:
            if self._lost is not None:
                raise self._lost
            try:
                await self._read_input(one, result)
            except InvalidRequest as error:
                if "unknown model" in str(error):
                    raise ServerNotFound(f"the server does not have what this needs ({error}); look at --url") from None
                result.problems.append(_describe(error, reads_pdf=self._reader.reads_documents))
            except (InputError, OcrvlError) as error:
                result.problems.append(str(error))
        return result

    async def _read_input(self, one: Input, result: Result) -> None:
        if await asyncio.to_thread(self._reader.is_done, one, None):
            result.skipped = True
            return
        modified = modified_at(one.path)
        data = await asyncio.to_thread(one.load, self._limits.download)
        if await asyncio.to_thread(self._reader.is_done, one, data):
            result.skipped = True
            return
        self._reader.check_place(one, data)
        await self._wait_for_server()
        if self._reader.is_document(data):
            async with self._documents:
                files = await self._retry(lambda: self._reader.read_document(one, data, result))
        else:
            files = await self._retry(lambda: self._reader.read_image(one, data, result))
        if not result.problems:
            await asyncio.to_thread(self._reader.note_done, one, data, modified, files)

    async def _wait_for_server(self) -> None:
        """Once, before the first request. Raises `ServerNotFound`."""
        async with self._start:
            deadline = time.monotonic() + self._limits.start_retry_timeout
            while not self._started:
                self._started = await self._is_ready()
                if self._started:
                    return
                if time.monotonic() >= deadline:
                    raise await asyncio.to_thread(self._explain)
                await asyncio.sleep(self._limits.poll)

    async def _retry(self, read: Callable[[], Awaitable[T]]) -> T:
        """What `read` gives, retried while the server is away. Raises `ServerLost` when it stays away."""
        deadline: float | None = None
        while True:
            try:
                return await read()
            except RequestTimeout:
                raise
            except ServerUnavailable as error:
                deadline = deadline or time.monotonic() + self._limits.retry_timeout
                if not await self._comes_back(deadline):
                    # the first one's words; the others failed with the same
                    self._lost = self._lost or ServerLost(
                        f"the server went away and was not back within {self._limits.retry_timeout:g} s ({error})"
                    )
                    raise self._lost from None

    async def _comes_back(self, deadline: float) -> bool:
        """Wait until the server takes requests again; whether it does by that time."""
        while self._lost is None and (left := deadline - time.monotonic()) > 0:
            await asyncio.sleep(min(self._limits.poll, left))
            if await self._is_ready():
                return True
        return False

    async def _is_ready(self) -> bool:
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                return await self._reader.is_server_ready()
        except (TimeoutError, OcrvlError):
            return False


def _describe(error: InvalidRequest, *, reads_pdf: bool) -> str:
    """What is wrong with the one image of a request, or the document, for someone who has named a file."""
    text = str(error).removeprefix("image 0: ")
    if not reads_pdf:
        return text
    return re.sub(r"\Ait is not an image", "it is neither a PDF nor an image", text)


async def _first(waiting: deque[asyncio.Task[Result]]) -> Result:
    """The first one's result. It stays in line until then, so that it is ended with the others if this is cancelled."""
    result = await waiting[0]
    waiting.popleft()
    return result
