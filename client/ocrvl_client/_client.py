"""The synchronous client."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Literal

from ocrvl.wire import Model, Task, Tensor
from ocrvl_client._errors import InvalidRequest
from ocrvl_client._messages import READ_OUTPUTS, Array, Reading, Source, decode_read, encode_read
from ocrvl_client._retry import Retry
from ocrvl_client._transport import GrpcTransport, HttpTransport, Transport

Protocol = Literal["grpc", "http"]

_RETRY = Retry()
_ONCE = Retry(attempts=1)


class Client:
    """A connection to a server. Close it, or use it in a `with` block.

    `url` is host and port without a scheme, of the protocol's own port; `timeout` in seconds bounds each request,
    the attempts of `retry` together. `retry` says when a request is sent again, None never.
    A `transport` replaces the connection, which tests use.
    """

    def __init__(
        self,
        url: str = "localhost:8001",
        *,
        protocol: Protocol = "grpc",
        timeout: float = 300.0,
        retry: Retry | None = _RETRY,
        transport: Transport | None = None,
    ) -> None:
        if "://" in url:
            raise InvalidRequest(f"url {url!r}: host and port are wanted, without a scheme")
        self._timeout = timeout
        self._retry = retry or _ONCE
        self._transport = transport or _connect(url, protocol, timeout)

    def read(self, picture: Source, *, task: Task | str = Task.OCR, **options: Any) -> Reading:
        """Read one picture: bytes, or the path of a file.

        `options` are the server's (`max_tokens`, `temperature`, `raw`, …). Raises `OcrvlError`.
        """
        return self.read_batch([picture], task=task, **options)[0]

    def read_batch(
        self, pictures: Sequence[Source], *, task: Task | str | Sequence[Task | str] = Task.OCR, **options: Any
    ) -> list[Reading]:
        """Read up to 64 pictures in one request; one task for all, or one a picture.

        A bad picture fails the request, unless `on_error="keep"` is given: then it fails alone, see
        `Reading.error`. Raises `OcrvlError`.
        """
        tensors = encode_read(pictures, task, options)

        def attempt(seconds: float) -> dict[Tensor, Array]:
            # an id of its own: where a connection broke, the server may still be busy with the last attempt
            return self._transport.infer(Model.OCR, tensors, READ_OUTPUTS, uuid.uuid4().hex, seconds)

        return decode_read(self._retry.run(attempt, self._timeout))

    def is_ready(self) -> bool:
        """Whether the server can be reached and says that all its models are ready."""
        return self._transport.is_ready()

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _connect(url: str, protocol: Protocol, timeout: float) -> Transport:
    return GrpcTransport(url, timeout) if protocol == "grpc" else HttpTransport(url, timeout)
