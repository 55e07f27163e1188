"""The client for asyncio."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import aclosing
from functools import partial
from types import TracebackType
from typing import Unpack

from ocrvl.wire import Model, Task
from ocrvl_client._calls import (
    DEFAULT_RETRY,
    ONCE,
    ProtocolName,
    check_concurrency,
    check_timeout,
    combine,
    endpoints_of,
)
from ocrvl_client._documents import Document, Page, decode_document, decode_part, encode_document
from ocrvl_client._many import Many
from ocrvl_client._many_tasks import encode_in_thread, read_each
from ocrvl_client._messages import Source, decode_cancel, encode_cancel, encode_one, encode_read, encode_stream
from ocrvl_client._options import DocumentOptions, ReadOptions, ReceiptOptions
from ocrvl_client._readings import Outcome, Reading, decode_one, decode_piece, decode_read
from ocrvl_client._receipts import Receipt, ReceiptOutcome, decode_receipt, encode_receipt
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
        answer = await self._sender.infer(await encode_in_thread(encode_read, images, task, options), timeout)
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
        many = Many(
            images,
            options,
            partial(encode_one, task),
            decode_one,
            Outcome,
            check_concurrency(concurrency, self._concurrency),
            ordered,
            check_timeout(timeout, self._sender.timeout),
        )
        async with aclosing(read_each(self._sender, many)) as outcomes:
            async for outcome in outcomes:
                yield outcome

    def stream(
        self,
        image: Source,
        *,
        task: Task | str = Task.OCR,
        timeout: float | None = None,
        **options: Unpack[ReadOptions],
    ) -> AsyncGenerator[str | Reading, None]:
        """As `Client.stream`."""
        return self._sender.stream(
            partial(encode_in_thread, encode_stream, image, task, options), decode_piece, timeout
        )

    async def document(
        self, file: Source, *, timeout: float | None = None, **options: Unpack[DocumentOptions]
    ) -> Document:
        """As `Client.document`."""
        began = time.monotonic()
        answer = await self._sender.infer(await encode_in_thread(encode_document, file, options), timeout)
        return decode_document(answer, time.monotonic() - began)

    def document_stream(
        self, file: Source, *, timeout: float | None = None, **options: Unpack[DocumentOptions]
    ) -> AsyncGenerator[Page | Document, None]:
        """As `Client.document_stream`."""
        encode = partial(encode_in_thread, encode_document, file, options, Model.DOCUMENT_STREAM)
        return self._sender.stream(encode, decode_part, timeout)

    async def receipt(
        self,
        image: Source,
        *,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
        **options: Unpack[ReceiptOptions],
    ) -> Receipt:
        """As `Client.receipt`."""
        began = time.monotonic()
        answer = await self._sender.infer(await encode_in_thread(encode_receipt, image, options, headers), timeout)
        return decode_receipt(answer, time.monotonic() - began)

    async def receipts_many(
        self,
        images: Iterable[Source],
        *,
        concurrency: int | None = None,
        ordered: bool = True,
        timeout: float | None = None,
        **options: Unpack[ReceiptOptions],
    ) -> AsyncGenerator[ReceiptOutcome, None]:
        """As `Client.receipts_many`; a task that is cancelled meanwhile, or `aclose`, cancels what is in flight."""
        many = Many(
            images,
            options,
            encode_receipt,
            decode_receipt,
            ReceiptOutcome,
            check_concurrency(concurrency, self._concurrency),
            ordered,
            check_timeout(timeout, self._sender.timeout),
        )
        async with aclosing(read_each(self._sender, many)) as outcomes:
            async for outcome in outcomes:
                yield outcome

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


def _connect(endpoints: Sequence[Endpoint], protocol: ProtocolName, *, shared_memory: bool) -> AsyncTransport:
    kind = AsyncGrpcTransport if protocol == "grpc" else AsyncHttpTransport
    transports: list[AsyncServerTransport] = [kind(endpoint) for endpoint in endpoints]
    if shared_memory:
        return combine(list(map(AsyncSharedMemoryTransport, transports)), AsyncBalancedTransport)
    return combine(transports, AsyncBalancedTransport)
