"""The two transports, over `tritonclient`: arrays out, arrays back, every error in our own terms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http.client import HTTPException
from typing import Any, Protocol

import gevent
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

from ocrvl.wire import Model, Tensor
from ocrvl_client._errors import OcrvlError, RequestTimeout, ServerUnavailable, error_from_server
from ocrvl_client._messages import Array


class Transport(Protocol):
    """What carries one request to a model and its answer back."""

    def infer(
        self, model: Model, inputs: Mapping[Tensor, Array], outputs: Sequence[Tensor], request_id: str
    ) -> dict[Tensor, Array]:
        """Send a request and wait for its answer. Raises `OcrvlError`."""

    def is_ready(self) -> bool:
        """Whether the server says that it is ready; False where it can not be reached."""

    def close(self) -> None:
        """Close the connections."""


class GrpcTransport:
    """Unary gRPC."""

    def __init__(self, url: str, timeout: float) -> None:
        self._url = url
        self._timeout = timeout
        self._client = triton_grpc.InferenceServerClient(url)

    def infer(
        self, model: Model, inputs: Mapping[Tensor, Array], outputs: Sequence[Tensor], request_id: str
    ) -> dict[Tensor, Array]:
        try:
            result = self._client.infer(
                model.value,
                _fill(triton_grpc.InferInput, inputs),
                outputs=[triton_grpc.InferRequestedOutput(name.value) for name in outputs],
                request_id=request_id,
                client_timeout=self._timeout,
            )
        except InferenceServerException as error:
            raise self._translate(error) from error
        return {name: result.as_numpy(name.value) for name in outputs}

    def is_ready(self) -> bool:
        try:
            return bool(self._client.is_server_ready(client_timeout=self._timeout))
        except InferenceServerException:
            return False

    def close(self) -> None:
        self._client.close()

    def _translate(self, error: InferenceServerException) -> OcrvlError:
        translated = error_from_server(error.message() or "", error.status())
        if isinstance(translated, RequestTimeout):
            return RequestTimeout(f"no answer from {self._url} within {self._timeout:g} s")
        if isinstance(translated, ServerUnavailable) and "failed to connect" in str(translated):
            return ServerUnavailable(f"no server at {self._url}; is it running, and is this its gRPC port?")
        return translated


class HttpTransport:
    """HTTP with binary tensors."""

    def __init__(self, url: str, timeout: float) -> None:
        self._url = url
        self._timeout = timeout
        self._client = triton_http.InferenceServerClient(
            url, concurrency=16, connection_timeout=timeout, network_timeout=timeout
        )

    def infer(
        self, model: Model, inputs: Mapping[Tensor, Array], outputs: Sequence[Tensor], request_id: str
    ) -> dict[Tensor, Array]:
        try:
            result = self._client.infer(
                model.value,
                _fill(triton_http.InferInput, inputs),
                outputs=[triton_http.InferRequestedOutput(name.value) for name in outputs],
                request_id=request_id,
            )
        except InferenceServerException as error:
            raise error_from_server(error.message() or "", error.status()) from error
        except (TimeoutError, gevent.Timeout) as error:
            raise RequestTimeout(f"no answer from {self._url} within {self._timeout:g} s") from error
        except (OSError, HTTPException) as error:
            raise ServerUnavailable(f"no server at {self._url} ({error}); is this its HTTP port?") from error
        return {name: result.as_numpy(name.value) for name in outputs}

    def is_ready(self) -> bool:
        try:
            return bool(self._client.is_server_ready())
        except (InferenceServerException, OSError, HTTPException, gevent.Timeout):
            return False

    def close(self) -> None:
        self._client.close()


def _fill(input_class: Any, inputs: Mapping[Tensor, Array]) -> list[Any]:
    filled = []
    for name, array in inputs.items():
        one = input_class(name.value, list(array.shape), np_to_triton_dtype(array.dtype))
        one.set_data_from_numpy(array)
        filled.append(one)
    return filled
