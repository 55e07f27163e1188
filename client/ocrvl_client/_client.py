"""The client for threads."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Mapping, Sequence
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
from ocrvl_client._many_threads import read_each
from ocrvl_client._messages import Source, decode_cancel, encode_cancel, encode_one, encode_read, encode_stream
from ocrvl_client._options import DocumentOptions, ReadOptions, ReceiptOptions
from ocrvl_client._readings import Outcome, Reading, decode_one, decode_piece, decode_read
from ocrvl_client._receipts import Receipt, ReceiptOutcome, decode_receipt, encode_receipt
from ocrvl_client._retry import Retry
from ocrvl_client._sender import Sender
from ocrvl_client._transports.balance import BalancedTransport
from ocrvl_client._transports.endpoint import Endpoint, Tls
from ocrvl_client._transports.grpc_sync import GrpcTransport
from ocrvl_client._transports.http_sync import HttpTransport
from ocrvl_client._transports.protocol import ServerMetadata, ServerTransport, Transport
from ocrvl_client._transports.shared_memory import SharedMemoryTransport


class Client:
    """A connection to one server or several. Close it, or use it in a `with` block; any number of threads may share it.

    `url` is host and port without a scheme, of the protocol's own port; of several servers each request goes to the one
    that has the fewest in flight from here. `timeout` in seconds bounds each request, the attempts of `retry` together.
    `retry` says when a request is sent again, None never. `headers` go with each request. `concurrency` is how many
    requests `read_many` and `receipts_many` have in flight. `shared_memory` hands images over in the machine's memory,
    which the server must share. A request that its caller abandons (a timeout, Ctrl-C, a closed iterator) is cancelled
    in the engine.
    A `transport` replaces the connection, which tests use. Raises `InvalidRequest` for arguments that are none.
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
        transport: Transport | None = None,
    ) -> None:
        endpoints = endpoints_of(url, protocol, timeout, tls, headers)
        self._concurrency = check_concurrency(concurrency)
        self._transport = transport or _connect(endpoints, protocol, shared_memory=shared_memory)
        self._sender = Sender(self._transport, retry or ONCE, timeout)

    def read(
        self,
        image: Source,
        *,
        task: Task | str = Task.OCR,
        timeout: float | None = None,
        **options: Unpack[ReadOptions],
    ) -> Reading:
        """Read one image: bytes, or the path of a file.

        `options` are the server's (`max_tokens`, `temperature`, `raw`, …). Raises `OcrvlError`.
        """
        return self.read_batch([image], task=task, timeout=timeout, **options)[0]

    def read_batch(
        self,
        images: Sequence[Source],
        *,
        task: Task | str | Sequence[Task | str] = Task.OCR,
        timeout: float | None = None,
        **options: Unpack[ReadOptions],
    ) -> list[Reading]:
        """Read up to 64 images in one request; one task for all, or one an image.

        A bad image fails the request, unless `on_error="keep"` is given: then it fails alone, see
        `Reading.error`. Raises `OcrvlError`.
        """
        began = time.monotonic()
        answer = self._sender.infer(encode_read(images, task, options), timeout)
        return decode_read(answer, time.monotonic() - began)

    def read_many(
        self,
        images: Iterable[Source],
        *,
        task: Task | str = Task.OCR,
        concurrency: int | None = None,
        ordered: bool = True,
        timeout: float | None = None,
        **options: Unpack[ReadOptions],
    ) -> Generator[Outcome, None, None]:
        """Read any number of images, `concurrency` of them in flight, each in a request of its own.

        Images are taken from the iterable, and files opened, as there is room for them. One that cannot be read is
        an `Outcome` with an error, the others go on. Outcomes come in the order of the images, or, with
        `ordered=False`, as they are done. Closing the iterator ends what is in flight. Raises `InvalidRequest` for a
        `concurrency` that is none.
        """
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
        yield from read_each(self._sender, many)

    def stream(
        self,
        image: Source,
        *,
        task: Task | str = Task.OCR,
        timeout: float | None = None,
        **options: Unpack[ReadOptions],
    ) -> Generator[str | Reading, None, None]:
        """Read one image and yield its text as it is generated, then the whole `Reading`, post-processed.

        The pieces put together are the model's own words. `timeout` bounds the wait for each. Closing the iterator
        cancels the request. Raises `OcrvlError`.
        """
        return self._sender.stream(partial(encode_stream, image, task, options), decode_piece, timeout)

    def document(self, file: Source, *, timeout: float | None = None, **options: Unpack[DocumentOptions]) -> Document:
        """Read a whole file, a PDF, a TIFF of several pages or an image: its bytes, or its path.

        `options` are the server's (`pages`, `dpi`, `use_chart_recognition`, …). What could not be read is said in its
        place, unless `strict=True` is given. Raises `OcrvlError`.
        """
        began = time.monotonic()
        answer = self._sender.infer(encode_document(file, options), timeout)
        return decode_document(answer, time.monotonic() - began)

    def document_stream(
        self, file: Source, *, timeout: float | None = None, **options: Unpack[DocumentOptions]
    ) -> Generator[Page | Document, None, None]:
        """As `document`, page by page, each as soon as it and those before it are done.

        The last is the `Document`, with its Markdown and without the pages. `timeout` bounds the wait for each. Closing
        the iterator ends the request. What has begun is not sent again when a connection breaks. Raises `OcrvlError`.
        """
        encode = partial(encode_document, file, options, Model.DOCUMENT_STREAM)
        return self._sender.stream(encode, decode_part, timeout)

    def receipt(
        self,
        image: Source,
        *,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
        **options: Unpack[ReceiptOptions],
    ) -> Receipt:
        """Find the fields of a receipt, an image: bytes, or the path of a file.

        `headers` go with this request beside the client's: a `traceparent`, for example. `options` are the server's
        (`max_tokens`, `visualize`, …). Raises `OcrvlError`.
        """
        began = time.monotonic()
        answer = self._sender.infer(encode_receipt(image, options, headers), timeout)
        return decode_receipt(answer, time.monotonic() - began)

    def receipts_many(
        self,
        images: Iterable[Source],
        *,
        concurrency: int | None = None,
        ordered: bool = True,
        timeout: float | None = None,
        **options: Unpack[ReceiptOptions],
    ) -> Generator[ReceiptOutcome, None, None]:
        """As `read_many`, for receipts: a `ReceiptOutcome` each."""
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
        yield from read_each(self._sender, many)

    def cancel(self, token: str) -> int:
        """Cancel the requests whose option `cancel_token` this is; how many were running. Raises `OcrvlError`."""
        return decode_cancel(self._sender.infer(encode_cancel(token)))

    def is_live(self) -> bool:
        """Whether the server, one of several, can be reached and runs."""
        return self._transport.is_live()

    def is_ready(self) -> bool:
        """Whether the server, one of several, can be reached and says that all its models are ready."""
        return self._transport.is_ready()

    def metadata(self) -> ServerMetadata:
        """What the server, the first of several that answers, says of itself. Raises `OcrvlError`."""
        return self._transport.metadata()

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _connect(endpoints: Sequence[Endpoint], protocol: ProtocolName, *, shared_memory: bool) -> Transport:
    kind = GrpcTransport if protocol == "grpc" else HttpTransport
    transports: list[ServerTransport] = [kind(endpoint) for endpoint in endpoints]
    return combine(list(map(SharedMemoryTransport, transports)) if shared_memory else transports, BalancedTransport)
