"""The client for asyncio."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import Any, Unpack

from ocrvl.wire import Model, Task
from ocrvl_client._calls import (
    DEFAULT_RETRY,
    ONCE,
    ProtocolName,
    as_ocrvl_error,
    check_concurrency,
    check_timeout,
    combine,
    endpoints_of,
)
from ocrvl_client._documents import Document, Page, decode_document, decode_part, encode_document
from ocrvl_client._many import PendingReads, Started
from ocrvl_client._messages import Request, Source, decode_cancel, encode_cancel, encode_read, encode_stream
from ocrvl_client._options import DocumentOptions, ReadOptions
from ocrvl_client._readings import Outcome, Reading, decode_piece, decode_read
from ocrvl_client._retry import Retry
from ocrvl_client._sender import AsyncSender
from ocrvl_client._transports.balance import AsyncBalancedTransport
from ocrvl_client._transports.endpoint import Endpoint, Tls
from ocrvl_client._transports.grpc_aio import AsyncGrpcTransport
from ocrvl_client._transports.http_aio import AsyncHttpTransport
from ocrvl_client._transports.protocol import AsyncServerTransport, AsyncTransport, ServerMetadata
from ocrvl_client._transports.shared_memory import AsyncSharedMemoryTransport


class AsyncClient:
    """A connection to one server or several, for one event loop: make it there, close it with `aclose` or `async with`.

    Arguments as for `Client`. A task that is cancelled cancels its request in the engine. Files are opened in a thread.
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
        self._concurrency = check_concurrency(concurrency)
        self._transport = transport or _connect(endpoints, protocol, shared_memory=shared_memory)
        self._sender = AsyncSender(self._transport, retry or ONCE, timeout)

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
        answer = await self._sender.infer(await _encode(encode_read, images, task, options), timeout)
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
        """As `Client.read_many`; a task that is cancelled meanwhile, or `aclose`, cancels what is in flight."""
        concurrency = check_concurrency(concurrency, self._concurrency)
        timeout = check_timeout(timeout, self._sender.timeout)
        pending = PendingReads(images, options, concurrency=concurrency, ordered=ordered)
        outcomes: asyncio.Queue[Outcome] = asyncio.Queue()
        reads: set[asyncio.Task[None]] = set()

        async def read(started: Started) -> None:
            reading, failure = None, None
            try:
                began = time.monotonic()
                request = await _encode(encode_read, [started.image], task, started.options)
                answer = await self._sender.infer(request, timeout, shares_token=pending.shares_token)
                (reading,) = decode_read(answer, time.monotonic() - began)
            except Exception as error:
                failure = as_ocrvl_error(error)
            pending.release(started.index)
            outcomes.put_nowait(Outcome(started.index, started.image, reading, failure))

        try:
            while True:
                while (started := pending.start_next()) is not None:
                    reads.add(running := asyncio.create_task(read(started)))
                    running.add_done_callback(reads.discard)
                if not pending.in_flight:
                    return
                for outcome in pending.finish(await outcomes.get()):
                    yield outcome
        finally:
            left = list(reads)
            for running in left:
                running.cancel()
            await asyncio.gather(*left, return_exceptions=True)
            if pending.shares_token:
                await asyncio.shield(self._sender.cancel(*pending.tokens()))

    def stream(
        self,
        image: Source,
        *,
        task: Task | str = Task.OCR,
        timeout: float | None = None,
        **options: Unpack[ReadOptions],
    ) -> AsyncGenerator[str | Reading, None]:
        """As `Client.stream`."""
        return self._sender.stream(partial(_encode, encode_stream, image, task, options), decode_piece, timeout)

    async def document(
        self, file: Source, *, timeout: float | None = None, **options: Unpack[DocumentOptions]
    ) -> Document:
        """As `Client.document`."""
        began = time.monotonic()
        answer = await self._sender.infer(await _encode(encode_document, file, options), timeout)
        return decode_document(answer, time.monotonic() - began)

    def document_stream(
        self, file: Source, *, timeout: float | None = None, **options: Unpack[DocumentOptions]
    ) -> AsyncGenerator[Page | Document, None]:
        """As `Client.document_stream`."""
        encode = partial(_encode, encode_document, file, options, Model.DOCUMENT_STREAM)
        return self._sender.stream(encode, decode_part, timeout)

    async def cancel(self, token: str) -> int:
        """As `Client.cancel`."""
        return decode_cancel(await self._sender.infer(encode_cancel(token)))

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


async def _encode(encode: Callable[..., Request], *arguments: Any) -> Request:
    """A request, made in a thread where a file must be opened for it."""
    first = arguments[0]
    if all(isinstance(one, bytes) for one in (first if isinstance(first, list | tuple) else [first])):
        return encode(*arguments)
    return await asyncio.to_thread(encode, *arguments)


def _connect(endpoints: Sequence[Endpoint], protocol: ProtocolName, *, shared_memory: bool) -> AsyncTransport:
    kind = AsyncGrpcTransport if protocol == "grpc" else AsyncHttpTransport
    transports: list[AsyncServerTransport] = [kind(endpoint) for endpoint in endpoints]
    if shared_memory:
        return combine(list(map(AsyncSharedMemoryTransport, transports)), AsyncBalancedTransport)
    return combine(transports, AsyncBalancedTransport)
