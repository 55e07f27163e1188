"""The client for asyncio."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing, suppress
from types import TracebackType
from typing import Any, Unpack

from ocrvl.wire import Model, Task, Tensor
from ocrvl_client._calls import (
    DEFAULT_RETRY,
    ONCE,
    ProtocolName,
    UnderWay,
    check_concurrency,
    check_timeout,
    endpoints_of,
    failure_of,
    is_given_up,
)
from ocrvl_client._documents import Document, Page, decode_document, decode_part, encode_document
from ocrvl_client._errors import OcrvlError
from ocrvl_client._many import Turns
from ocrvl_client._messages import (
    Array,
    Outcome,
    Reading,
    Request,
    ServerMetadata,
    Source,
    decode_cancel,
    decode_piece,
    decode_read,
    encode_cancel,
    encode_read,
    encode_stream,
)
from ocrvl_client._options import DocumentOptions, ReadOptions
from ocrvl_client._retry import Retry
from ocrvl_client._transports.balance import AsyncBalancedTransport
from ocrvl_client._transports.grpc_aio import AsyncGrpcTransport
from ocrvl_client._transports.http_aio import AsyncHttpTransport
from ocrvl_client._transports.memory import AsyncSharedMemoryTransport
from ocrvl_client._transports.protocol import END_SECONDS, AsyncTransport, Endpoint, Tls


class AsyncClient:
    """A connection to one server or several, for one event loop: make it there, close it with `aclose` or `async with`.

    Arguments as for `Client`. A task that is cancelled ends its request in the engine. Files are opened in a thread.
    """

    def __init__(
        self,
        url: str | Sequence[str] = "localhost:8001",
        *,
        protocol: ProtocolName = "grpc",
        timeout: float = 300.0,
        retry: Retry | None = DEFAULT_RETRY,
        tls: Tls | None = None,
        headers: Mapping[str, str] | None = None,
        concurrency: int = 32,
        shared_memory: bool = False,
        transport: AsyncTransport | None = None,
    ) -> None:
        endpoints = endpoints_of(url, protocol, timeout, tls, headers)
        self._timeout = timeout
        self._retry = retry or ONCE
        self._concurrency = check_concurrency(concurrency)
        self._transport = transport or _connect(endpoints, protocol, shared_memory=shared_memory)

    async def read(
        self,
        image: Source,
        *,
        task: Task | str = Task.OCR,
        timeout: float | None = None,
        **options: Unpack[ReadOptions],
    ) -> Reading:
        """As `Client.read`."""
        (reading,) = await self.read_batch([image], task=task, timeout=timeout, **options)
        return reading

    async def read_batch(
        self,
        images: Sequence[Source],
        *,
        task: Task | str | Sequence[Task | str] = Task.OCR,
        timeout: float | None = None,
        **options: Unpack[ReadOptions],
    ) -> list[Reading]:
        """As `Client.read_batch`."""
        began = time.monotonic()
        answer = await self._infer(await _encode(encode_read, images, task, options), timeout)
        return decode_read(answer, time.monotonic() - began)

    async def read_many(
        self,
        images: Iterable[Source],
        *,
        task: Task | str = Task.OCR,
        concurrency: int | None = None,
        ordered: bool = True,
        timeout: float | None = None,
        **options: Unpack[ReadOptions],
    ) -> AsyncGenerator[Outcome, None]:
        """As `Client.read_many`; a task that is cancelled meanwhile, or `aclose`, ends what is in flight."""
        concurrency = check_concurrency(concurrency, self._concurrency)
        timeout = check_timeout(timeout, self._timeout)
        turns = Turns(concurrency, ordered=ordered)
        under_way = UnderWay(options)
        outcomes: asyncio.Queue[Outcome] = asyncio.Queue()
        tasks: set[asyncio.Task[None]] = set()
        source = iter(images)

        async def read(index: int, image: Source, options: Mapping[str, Any]) -> None:
            encoded = _encode(encode_read, [image], task, options)
            outcome = await self._read_one(index, image, encoded, timeout, is_shared=under_way.is_shared)
            under_way.finish(index)
            outcomes.put_nowait(outcome)

        try:
            is_exhausted = False
            while True:
                while not is_exhausted and turns.may_start():
                    try:
                        image = next(source)
                    except StopIteration:
                        is_exhausted = True
                    else:
                        index = turns.start()
                        started = asyncio.create_task(read(index, image, under_way.start(index)))
                        tasks.add(started)
                        started.add_done_callback(tasks.discard)
                if not turns.in_flight:
                    return
                for outcome in turns.finish(await outcomes.get()):
                    yield outcome
        finally:
            left = list(tasks)
            for started in left:
                started.cancel()
            await asyncio.gather(*left, return_exceptions=True)
            if under_way.is_shared:
                await asyncio.shield(self._end(*under_way.tokens()))

    async def _read_one(
        self, index: int, image: Source, encoded: Awaitable[Request], timeout: float, *, is_shared: bool
    ) -> Outcome:
        try:
            began = time.monotonic()
            answer = await self._infer(await encoded, timeout, is_shared=is_shared)
            (reading,) = decode_read(answer, time.monotonic() - began)
        except Exception as error:
            return Outcome(index, image, None, failure_of(error))
        return Outcome(index, image, reading, None)

    async def stream(
        self,
        image: Source,
        *,
        task: Task | str = Task.OCR,
        timeout: float | None = None,
        **options: Unpack[ReadOptions],
    ) -> AsyncGenerator[str | Reading, None]:
        """As `Client.stream`."""
        began = time.monotonic()
        request = await _encode(encode_stream, image, task, options)
        reading = None
        async with aclosing(self._stream(request, timeout)) as answers:
            async for answer in answers:
                piece = decode_piece(answer, time.monotonic() - began)
                # the last part is handed on when the stream has ended: many callers leave at it
                if isinstance(piece, Reading):
                    reading = piece
                elif piece is not None:
                    yield piece
        if reading is not None:
            yield reading

    async def document(
        self, file: Source, *, timeout: float | None = None, **options: Unpack[DocumentOptions]
    ) -> Document:
        """As `Client.document`."""
        began = time.monotonic()
        answer = await self._infer(await _encode(encode_document, file, options), timeout)
        return decode_document(answer, time.monotonic() - began)

    async def document_stream(
        self, file: Source, *, timeout: float | None = None, **options: Unpack[DocumentOptions]
    ) -> AsyncGenerator[Page | Document, None]:
        """As `Client.document_stream`."""
        began = time.monotonic()
        request = await _encode(encode_document, file, options, Model.DOCUMENT_STREAM)
        document = None
        async with aclosing(self._stream(request, timeout)) as answers:
            async for answer in answers:
                part = decode_part(answer, time.monotonic() - began)
                if isinstance(part, Document):
                    document = part
                    continue
                for page in part:
                    yield page
        if document is not None:
            yield document

    async def cancel(self, token: str) -> int:
        """As `Client.cancel`."""
        return decode_cancel(await self._infer(encode_cancel(token), None))

    async def is_live(self) -> bool:
        """As `Client.is_live`."""
        return await self._transport.is_live()

    async def is_ready(self) -> bool:
        """As `Client.is_ready`."""
        return await self._transport.is_ready()

    async def metadata(self) -> ServerMetadata:
        """As `Client.metadata`."""
        return await self._transport.metadata()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._transport.close()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def _infer(self, request: Request, timeout: float | None, *, is_shared: bool = False) -> dict[Tensor, Array]:
        async def attempt(seconds: float) -> dict[Tensor, Array]:
            return await self._transport.infer(request.again(), seconds)

        try:
            return await self._retry.run_async(attempt, check_timeout(timeout, self._timeout))
        except BaseException as error:
            if request.token is not None and not is_shared and is_given_up(error):
                # a second cancel must not keep the first from reaching the engine
                await asyncio.shield(self._end(request.token))
            raise

    def _stream(self, request: Request, timeout: float | None) -> AsyncGenerator[dict[Tensor, Array], None]:
        return self._transport.stream(request, check_timeout(timeout, self._timeout))

    async def _end(self, *tokens: str) -> None:
        """Have the engine end what nobody waits for any more; where that fails, it ends by itself at some time."""
        with suppress(OcrvlError):
            for token in tokens:
                await self._transport.infer(encode_cancel(token), END_SECONDS)


async def _encode(encode: Callable[..., Request], *arguments: Any) -> Request:
    """A request, made in a thread where a file must be opened for it."""
    first = arguments[0]
    if all(isinstance(one, bytes) for one in (first if isinstance(first, list | tuple) else [first])):
        return encode(*arguments)
    return await asyncio.to_thread(encode, *arguments)


def _connect(endpoints: Sequence[Endpoint], protocol: ProtocolName, *, shared_memory: bool) -> AsyncTransport:
    kind = AsyncGrpcTransport if protocol == "grpc" else AsyncHttpTransport
    transports: list[AsyncTransport] = [kind(endpoint) for endpoint in endpoints]
    if shared_memory:
        transports = [AsyncSharedMemoryTransport(transport) for transport in transports]
    return transports[0] if len(transports) == 1 else AsyncBalancedTransport(transports)
