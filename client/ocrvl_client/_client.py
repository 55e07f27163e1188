"""The client for threads."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
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
from ocrvl_client._transports.balance import BalancedTransport
from ocrvl_client._transports.grpc_sync import GrpcTransport
from ocrvl_client._transports.http_sync import HttpTransport
from ocrvl_client._transports.memory import SharedMemoryTransport
from ocrvl_client._transports.protocol import END_SECONDS, Endpoint, Tls, Transport


class Client:
    """A connection to one server or several. Close it, or use it in a `with` block; any number of threads may share it.

    `url` is host and port without a scheme, of the protocol's own port; of several servers each request goes to the one
    that has the fewest in flight from here. `timeout` in seconds bounds each request, the attempts of `retry` together.
    `retry` says when a request is sent again, None never. `headers` go with each request. `concurrency` is how many
    requests `read_many` has in flight. `shared_memory` hands images over in the machine's memory, which the server
    must share. A request that its caller gives up (a timeout, Ctrl-C, a closed iterator) is ended in the engine.
    A `transport` replaces the connection, which tests use.
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
        self._timeout = timeout
        self._retry = retry or ONCE
        self._concurrency = check_concurrency(concurrency)
        self._transport = transport or _connect(endpoints, protocol, shared_memory=shared_memory)

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
        answer = self._infer(encode_read(images, task, options), timeout)
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
        concurrency = check_concurrency(concurrency, self._concurrency)
        timeout = check_timeout(timeout, self._timeout)
        turns = Turns(concurrency, ordered=ordered)
        under_way = UnderWay(options)
        outcomes: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
        given_up = threading.Event()
        source = iter(images)
        pool = ThreadPoolExecutor(concurrency, "ocrvl-read")

        def read(index: int, image: Source, options: Mapping[str, Any]) -> None:
            reading, failure = None, None
            try:
                began = time.monotonic()
                request = encode_read([image], task, options)
                answer = self._infer(request, timeout, given_up.wait, is_shared=under_way.is_shared)
                (reading,) = decode_read(answer, time.monotonic() - began)
            except Exception as error:
                failure = failure_of(error)
            under_way.finish(index)
            outcomes.put(Outcome(index, image, reading, failure))

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
                        pool.submit(read, index, image, under_way.start(index))
                if not turns.in_flight:
                    return
                yield from turns.finish(outcomes.get())
        finally:
            if turns.in_flight:
                given_up.set()
                self._end(*under_way.tokens())
            pool.shutdown(cancel_futures=True)

    def stream(
        self,
        image: Source,
        *,
        task: Task | str = Task.OCR,
        timeout: float | None = None,
        **options: Unpack[ReadOptions],
    ) -> Generator[str | Reading, None, None]:
        """Read one image and yield its text as it is generated, then the whole `Reading`, post-processed.

        The pieces put together are the model's own words. `timeout` bounds the wait for each. Closing the iterator ends
        the request. Raises `OcrvlError`.
        """
        began = time.monotonic()
        reading = None
        for answer in self._stream(encode_stream(image, task, options), timeout):
            piece = decode_piece(answer, time.monotonic() - began)
            # the last part is handed on when the stream has ended: many callers leave at it
            if isinstance(piece, Reading):
                reading = piece
            elif piece is not None:
                yield piece
        if reading is not None:
            yield reading

    def document(self, file: Source, *, timeout: float | None = None, **options: Unpack[DocumentOptions]) -> Document:
        """Read a whole file, a PDF, a TIFF of several pages or an image: its bytes, or its path.

        `options` are the server's (`pages`, `dpi`, `use_chart_recognition`, …). What could not be read is said in its
        place, unless `strict=True` is given. Raises `OcrvlError`.
        """
        began = time.monotonic()
        answer = self._infer(encode_document(file, options), timeout)
        return decode_document(answer, time.monotonic() - began)

    def document_stream(
        self, file: Source, *, timeout: float | None = None, **options: Unpack[DocumentOptions]
    ) -> Generator[Page | Document, None, None]:
        """As `document`, page by page, each as soon as it and those before it are done.

        The last is the `Document`, with its Markdown and without the pages. `timeout` bounds the wait for each. Closing
        the iterator ends the request. What has begun is not sent again when a connection breaks. Raises `OcrvlError`.
        """
        began = time.monotonic()
        document = None
        for answer in self._stream(encode_document(file, options, Model.DOCUMENT_STREAM), timeout):
            part = decode_part(answer, time.monotonic() - began)
            if isinstance(part, Document):
                document = part
            else:
                yield from part
        if document is not None:
            yield document

    def cancel(self, token: str) -> int:
        """End the requests whose option `cancel_token` this is; how many were under way. Raises `OcrvlError`."""
        return decode_cancel(self._infer(encode_cancel(token), None))

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

    def _infer(
        self,
        request: Request,
        timeout: float | None,
        sleep: Callable[[float], object] = time.sleep,
        *,
        is_shared: bool = False,
    ) -> dict[Tensor, Array]:
        def attempt(seconds: float) -> dict[Tensor, Array]:
            return self._transport.infer(request.again(), seconds)

        try:
            return self._retry.run(attempt, check_timeout(timeout, self._timeout), sleep=sleep)
        except BaseException as error:
            if request.token is not None and not is_shared and is_given_up(error):
                self._end(request.token)
            raise

    def _stream(self, request: Request, timeout: float | None) -> Generator[dict[Tensor, Array], None, None]:
        return self._transport.stream(request, check_timeout(timeout, self._timeout))

    def _end(self, *tokens: str) -> None:
        """Have the engine end what nobody waits for any more; where that fails, it ends by itself at some time."""
        with suppress(OcrvlError):
            for token in tokens:
                self._transport.infer(encode_cancel(token), END_SECONDS)


def _connect(endpoints: Sequence[Endpoint], protocol: ProtocolName, *, shared_memory: bool) -> Transport:
    kind = GrpcTransport if protocol == "grpc" else HttpTransport
    transports: list[Transport] = [kind(endpoint) for endpoint in endpoints]
    if shared_memory:
        transports = [SharedMemoryTransport(transport) for transport in transports]
    return transports[0] if len(transports) == 1 else BalancedTransport(transports)
