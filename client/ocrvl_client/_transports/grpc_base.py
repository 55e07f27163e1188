"""What gRPC's two transports share: how a channel is opened, what calls carry, what errors mean."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

from ocrvl.wire import Tensor
from ocrvl_client._messages import Array, Request
from ocrvl_client._transports.endpoint import Endpoint
from ocrvl_client._transports.errors import error_from_grpc
from ocrvl_client._transports.protocol import ServerMetadata
from ocrvl_client._transports.tritonclient_calls import encode_inputs, infer_arguments

_CHANNEL_OPTIONS: Final = [
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    # a server that was started again is found within two seconds; gRPC's own pauses grow to two minutes
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2000),
    # a host that vanished is noticed; not sooner, since Triton cuts the connection of who asks more often than each
    # five minutes while a request is in flight (`--grpc-http2-min-recv-ping-interval-without-data`)
    ("grpc.keepalive_time_ms", 310_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    # a name with several addresses, a headless service of Kubernetes for example, is several servers
    ("grpc.lb_policy_name", "round_robin"),
]


class GrpcBase:
    """One server over gRPC; subclasses make the calls, with threads or with asyncio."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    @contextmanager
    def _errors(self, timeout: float) -> Iterator[None]:
        """Raises tritonclient's errors within the block as `OcrvlError`; `timeout` in seconds is the call's."""
        try:
            yield
        except InferenceServerException as error:
            raise error_from_grpc(error, self._endpoint.url, timeout) from error

    def _channel_arguments(self) -> dict[str, Any]:
        """The arguments of tritonclient's gRPC clients."""
        arguments: dict[str, Any] = {"url": self._endpoint.url, "channel_args": _CHANNEL_OPTIONS}
        if tls := self._endpoint.tls:
            arguments |= {
                "ssl": True,
                "root_certificates": None if tls.ca is None else str(tls.ca),
                "certificate_chain": None if tls.certificate is None else str(tls.certificate),
                "private_key": None if tls.key is None else str(tls.key),
            }
        return arguments

    def _infer_arguments(self, request: Request, timeout: float) -> dict[str, Any]:
        return {**infer_arguments(triton, request, self._endpoint), "client_timeout": timeout}

    def _stream_arguments(self, request: Request) -> dict[str, Any]:
        return {
            "model_name": request.model.value,
            "inputs": encode_inputs(triton, request),
            "request_id": request.id,
            "enable_empty_final_response": True,
        }

    def _call_arguments(self) -> dict[str, Any]:
        """Of calls about the server itself."""
        return {"headers": self._endpoint.headers, "client_timeout": self._endpoint.timeout}

    def _region_arguments(self, timeout: float) -> dict[str, Any]:
        """Of calls about shared memory."""
        return {"headers": self._endpoint.shared_memory_headers, "client_timeout": timeout}


def decode_response(result: Any) -> dict[Tensor, Array]:
    """The tensors of one answer on a stream; none in the empty one that may end it."""
    return {Tensor(output.name): result.as_numpy(output.name) for output in result.get_response().outputs}


def decode_metadata(response: Any) -> ServerMetadata:
    """Triton's `ServerMetadataResponse`."""
    return ServerMetadata(response.name, response.version, tuple(response.extensions))


def is_last(result: Any) -> bool:
    """Whether this answer is its stream's last."""
    return bool(result.get_response().parameters["triton_final_response"].bool_param)
