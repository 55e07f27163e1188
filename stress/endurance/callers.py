"""The callers of a load: the SDK with and without its retries, its streams, and streams without it."""

from __future__ import annotations

import queue
import time
from collections.abc import Mapping
from contextlib import closing
from enum import StrEnum
from typing import Any, Final, Literal, Protocol, TypeAlias

import tritonclient.grpc as triton_grpc
from tritonclient.utils import InferenceServerException

from ocrvl.wire import Model, Task, Tensor
from ocrvl_client import (
    Client,
    InvalidRequest,
    Reading,
    RequestCancelled,
    RequestTimeout,
    Retry,
    ServerError,
    ServerUnavailable,
    error_from_triton,
)
from perf.harness.serve_process import Endpoints
from perf.harness.tensors import bytes_tensor, encode_inputs, image_tensors
from stress.endurance.images import ReferenceImage, read_markdown

RETRY: Final = Retry(attempts=1000, initial=0.5, maximum=2.0)
"""Retries until the request's timeout: a server that starts again takes tens of seconds."""

_CAUSE_SECONDS: Final = 5.0

_Answers: TypeAlias = queue.SimpleQueue[tuple[Any, InferenceServerException | None]]

_RECONNECT: Final = [("grpc.initial_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", 2000)]


class CallerKind(StrEnum):
    """How a client sends its requests."""

    GRPC = "SDK, gRPC"
    HTTP = "SDK, HTTP"
    GRPC_ONCE = "SDK, gRPC, no retry"
    HTTP_ONCE = "SDK, HTTP, no retry"
    STREAM = "gRPC stream"
    CLOSED_EARLY = "SDK, streams closed early"
    DOCUMENT = "SDK, documents"

    @property
    def is_single_attempt(self) -> bool:
        """Whether what the server said last is what its caller sees."""
        return self not in (CallerKind.GRPC, CallerKind.HTTP)

    def expected_text(self, image: ReferenceImage) -> str:
        """What must come back for an image."""
        return image.markdown if self is CallerKind.DOCUMENT else image.text


class Outcome(StrEnum):
    """How a request ended, for its caller."""

    RIGHT = "right"
    WRONG = "wrong"
    UNAVAILABLE = "unavailable"
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"
    INVALID = "invalid"
    SERVER_ERROR = "server error"
    FOREIGN = "an exception that is none of the SDK's"


_OUTCOMES: Final[tuple[tuple[type[Exception], Outcome], ...]] = (
    (RequestTimeout, Outcome.TIMEOUT),
    (ServerUnavailable, Outcome.UNAVAILABLE),
    (RequestCancelled, Outcome.CANCELLED),
    (InvalidRequest, Outcome.INVALID),
    (ServerError, Outcome.SERVER_ERROR),
)


def outcome_of(error: Exception) -> Outcome:
    """The outcome that an exception of `Caller.read` means."""
    return next((outcome for kind, outcome in _OUTCOMES if isinstance(error, kind)), Outcome.FOREIGN)


class Caller(Protocol):
    """One caller's connection, for one thread."""

    def read(self, image: ReferenceImage, request_id: str) -> str:
        """What comes back for an image. Raises `OcrvlError`."""

    def close(self) -> None:
        """Close the connection."""


def open_caller(caller: CallerKind, endpoints: Endpoints, timeout: float) -> Caller:
    """A connection; `timeout` bounds each of its requests, in seconds."""
    match caller:
        case CallerKind.STREAM:
            return StreamCaller(endpoints.grpc, timeout)
        case CallerKind.CLOSED_EARLY:
            return EarlyClosingCaller(endpoints.grpc, timeout)
        case CallerKind.DOCUMENT:
            return DocumentCaller(endpoints.grpc, timeout)
        case CallerKind.GRPC | CallerKind.HTTP:
            return SdkCaller(endpoints, "grpc" if caller is CallerKind.GRPC else "http", timeout, RETRY)
        case CallerKind.GRPC_ONCE | CallerKind.HTTP_ONCE:
            return SdkCaller(endpoints, "grpc" if caller is CallerKind.GRPC_ONCE else "http", timeout, None)


class SdkCaller:
    """Unary requests through the SDK, which gives each attempt an id of its own."""

    def __init__(
        self, endpoints: Endpoints, protocol: Literal["grpc", "http"], timeout: float, retry: Retry | None
    ) -> None:
        url = endpoints.grpc if protocol == "grpc" else endpoints.http
        self._client = Client(url, protocol=protocol, timeout=timeout, retry=retry)

    def read(self, image: ReferenceImage, request_id: str) -> str:  # noqa: ARG002 - the protocol's
        """The image's text. Raises `OcrvlError`."""
        return self._client.read(image.data).text

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


class EarlyClosingCaller:
    """Streams of the SDK that are left by turns at their first part and at their last."""

    def __init__(self, grpc_url: str, timeout: float) -> None:
        self._client = Client(grpc_url, timeout=timeout)
        self._count = 0

    def read(self, image: ReferenceImage, request_id: str) -> str:  # noqa: ARG002 - the protocol's
        """The image's text: of a stream that is left at its first part, what it would have been."""
        self._count += 1
        with closing(self._client.stream(image.data)) as parts:
            for part in parts:
                if isinstance(part, Reading):
                    return part.text
                if self._count % 2:
                    return image.text
        raise ServerError("the stream ended without a reading")

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


class DocumentCaller:
    """Documents of the SDK, page by page, of an image each."""

    def __init__(self, grpc_url: str, timeout: float) -> None:
        self._client = Client(grpc_url, timeout=timeout)

    def read(self, image: ReferenceImage, request_id: str) -> str:  # noqa: ARG002 - the protocol's
        """The document's Markdown. Raises `OcrvlError`."""
        return read_markdown(self._client, image.data)

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


class StreamCaller:
    """Requests to `ocr_stream`, each on a stream of its own."""

    def __init__(self, grpc_url: str, timeout: float) -> None:
        self._client = triton_grpc.InferenceServerClient(grpc_url, channel_args=_RECONNECT)
        self._timeout = timeout

    def read(self, image: ReferenceImage, request_id: str) -> str:
        """The image's text. Raises `OcrvlError`."""
        return self.read_batch([image.data], request_id)[0]

    def read_batch(self, images: list[bytes], request_id: str, **options: Any) -> list[str]:
        """The text of each image, all in one request. Raises `OcrvlError`."""
        answers: _Answers = queue.SimpleQueue()
        is_late = False
        try:
            self._client.start_stream(lambda result, error: answers.put((result, error)))
            self._send(images, request_id, options, answers)
            return self._receive(len(images), answers)
        except InferenceServerException as error:
            raise error_from_triton(error) from error
        except queue.Empty:
            is_late = True
            raise RequestTimeout(f"the stream was not finished within {self._timeout:g} s") from None
        finally:
            # one that has ended is not cancelled, which leaves a thread behind that waits for more requests
            self._client.stop_stream(cancel_requests=is_late)

    def _send(self, images: list[bytes], request_id: str, options: Mapping[str, Any], answers: _Answers) -> None:
        tensors = encode_inputs(image_tensors(*images, task=Task.OCR, **options))
        try:
            self._client.async_stream_infer(
                Model.STREAM.value, tensors, request_id=request_id, enable_empty_final_response=True
            )
        except InferenceServerException as error:
            # the stream broke before: why, its callback was told
            _, cause = answers.get(timeout=_CAUSE_SECONDS)
            raise cause or error from None

    def _receive(self, count: int, answers: _Answers) -> list[str]:
        deadline = time.monotonic() + self._timeout
        found: dict[int, str] = {}
        while True:
            result, error = answers.get(timeout=max(0.0, deadline - time.monotonic()))
            if error:
                raise error
            if result.get_response().parameters["triton_final_response"].bool_param:
                return [found[index] for index in range(count)]
            if result.as_numpy(Tensor.FINISH_REASON.value) is not None:
                index = int(result.as_numpy(Tensor.INDEX.value)[0])
                found[index] = result.as_numpy(Tensor.FULL_TEXT.value)[0].decode()

    def cancel(self, token: str) -> int:
        """Call the model `cancel` on the same connection; how many requests were ended."""
        answer = self._client.infer(
            Model.CANCEL.value, encode_inputs({Tensor.CANCEL_TOKEN: bytes_tensor(token.encode())})
        )
        return int(answer.as_numpy(Tensor.CANCELLED.value)[0])

    def close(self) -> None:
        """Close the connection."""
        self._client.close()
