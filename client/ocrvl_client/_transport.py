"""The two transports, over `tritonclient`: arrays out, arrays back, every error in our own terms."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from http.client import HTTPException
from typing import Any, Final, Protocol

import gevent
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

from ocrvl.wire import Model, Tensor, untag_message
from ocrvl_client._errors import OcrvlError, RequestTimeout, ServerUnavailable, error_from_server
from ocrvl_client._messages import Array

_CHANNEL_OPTIONS: Final = [
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    # a server that was started again is found within two seconds; gRPC's own pauses grow to two minutes
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2000),
    # a host that vanished is noticed; gRPC's limit of two such questions without data between them stays, since
    # Triton cuts connections that ask more often
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 20_000),
]

_LOST: Final = (
    *("Socket closed", "Stream removed", "RST_STREAM", "GOAWAY", "Connection reset", "Broken pipe", "recvmsg"),
    *("Cancelling all calls", "keepalive watchdog timeout", "ping timeout"),
)
"""Words of gRPC for a connection that broke under a request; the status with them is not always UNAVAILABLE."""

_REFUSED: Final = (
    "is not healthy",
    "is not ready",
    "Exceeds maximum queue size",
    "Request timeout expired",
    "stopping",
)
"""Words of Triton's own for what it can not take now: a killed model, a full queue, its end. Ensembles lose the status
with them."""


class Transport(Protocol):
    """What carries one request to a model and its answer back."""

    def infer(
        self, model: Model, inputs: Mapping[Tensor, Array], outputs: Sequence[Tensor], request_id: str, timeout: float
    ) -> dict[Tensor, Array]:
        """Send a request and wait for its answer, at most `timeout` seconds. Raises `OcrvlError`."""

    def is_ready(self) -> bool:
        """Whether the server says that it is ready; False where it can not be reached."""

    def close(self) -> None:
        """Close the connections."""


class GrpcTransport:
    """Unary gRPC. `timeout` bounds questions other than requests."""

    def __init__(self, url: str, timeout: float) -> None:
        self._url = url
        self._timeout = timeout
        self._client = triton_grpc.InferenceServerClient(url, channel_args=_CHANNEL_OPTIONS)

    def infer(
        self, model: Model, inputs: Mapping[Tensor, Array], outputs: Sequence[Tensor], request_id: str, timeout: float
    ) -> dict[Tensor, Array]:
        try:
            result = self._client.infer(
                model.value,
                _fill(triton_grpc.InferInput, inputs),
                outputs=[triton_grpc.InferRequestedOutput(name.value) for name in outputs],
                request_id=request_id,
                client_timeout=timeout,
            )
        except InferenceServerException as error:
            raise self._translate(error, timeout) from error
        return {name: result.as_numpy(name.value) for name in outputs}

    def is_ready(self) -> bool:
        try:
            return bool(self._client.is_server_ready(client_timeout=self._timeout))
        except InferenceServerException:
            return False

    def close(self) -> None:
        self._client.close()

    def _translate(self, error: InferenceServerException, timeout: float) -> OcrvlError:
        translated = _translate(error)
        text = str(translated)
        if isinstance(translated, RequestTimeout):
            return _no_answer(self._url, timeout)
        if isinstance(translated, ServerUnavailable) and "failed to connect" in text:
            return ServerUnavailable(f"no server at {self._url}; is it running, and is this its gRPC port?")
        if _is_untagged(error) and any(words in text for words in _LOST):
            return _lost(self._url, text)
        return translated


class HttpTransport:
    """HTTP with binary tensors. `timeout` bounds each wait for the network, and questions other than requests."""

    def __init__(self, url: str, timeout: float) -> None:
        self._url = url
        self._client = triton_http.InferenceServerClient(
            url, concurrency=16, connection_timeout=timeout, network_timeout=timeout
        )

    def infer(
        self, model: Model, inputs: Mapping[Tensor, Array], outputs: Sequence[Tensor], request_id: str, timeout: float
    ) -> dict[Tensor, Array]:
        try:
            with gevent.Timeout(timeout, TimeoutError):
                result = self._client.infer(
                    model.value,
                    _fill(triton_http.InferInput, inputs),
                    outputs=[triton_http.InferRequestedOutput(name.value) for name in outputs],
                    request_id=request_id,
                )
        except InferenceServerException as error:
            raise _translate(error) from error
        except TimeoutError as error:
            raise _no_answer(self._url, timeout) from error
        except (ConnectionRefusedError, socket.gaierror) as error:
            raise ServerUnavailable(f"no server at {self._url} ({error}); is this its HTTP port?") from error
        except (OSError, HTTPException) as error:
            raise _lost(self._url, str(error)) from error
        return {name: result.as_numpy(name.value) for name in outputs}

    def is_ready(self) -> bool:
        try:
            return bool(self._client.is_server_ready())
        except (InferenceServerException, OSError, HTTPException):
            return False

    def close(self) -> None:
        self._client.close()


def _translate(error: InferenceServerException) -> OcrvlError:
    message = error.message() or ""
    if _is_untagged(error) and any(words in message for words in _REFUSED):
        return ServerUnavailable(message)
    return error_from_server(message, error.status())


def _is_untagged(error: InferenceServerException) -> bool:
    return untag_message(error.message() or "")[0] is None


def _no_answer(url: str, timeout: float) -> RequestTimeout:
    return RequestTimeout(f"no answer from {url} within {timeout:.3g} s")


def _lost(url: str, why: str) -> ServerUnavailable:
    return ServerUnavailable(f"the connection to {url} broke before the answer ({why})")


def _fill(input_class: Any, inputs: Mapping[Tensor, Array]) -> list[Any]:
    filled = []
    for name, array in inputs.items():
        one = input_class(name.value, list(array.shape), np_to_triton_dtype(array.dtype))
        one.set_data_from_numpy(array)
        filled.append(one)
    return filled
