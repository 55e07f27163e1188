"""gRPC for threads."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator
from contextlib import suppress
from typing import Any

import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

from ocrvl.wire import Tensor
from ocrvl_client._errors import OcrvlError
from ocrvl_client._messages import Array, Request, encode_cancel
from ocrvl_client._transports.endpoint import Endpoint
from ocrvl_client._transports.errors import error_from_grpc, timeout_error
from ocrvl_client._transports.grpc_base import GrpcBase, decode_metadata, decode_response, is_last
from ocrvl_client._transports.protocol import CANCEL_SECONDS, ServerMetadata
from ocrvl_client._transports.tritonclient_calls import decode_outputs

_Answers = queue.Queue[tuple[Any, InferenceServerException | None]]


class GrpcTransport(GrpcBase):
    """Unary gRPC and streams, from any number of threads over one connection."""

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__(endpoint)
        self._client = triton.InferenceServerClient(**self._channel_arguments())

    def infer(self, request: Request, timeout: float) -> dict[Tensor, Array]:
        with self._errors(timeout):
            result = self._client.infer(**self._infer_arguments(request, timeout))
        return decode_outputs(request, result)

    def stream(self, request: Request, timeout: float) -> Generator[dict[Tensor, Array], None, None]:
        answers: _Answers = queue.Queue()
        # a client has one stream, so every request has a client; gRPC lets them share the connection
        client = triton.InferenceServerClient(**self._channel_arguments())
        client.start_stream(lambda result, error: answers.put((result, error)), headers=self._endpoint.headers)
        is_answered = False
        try:
            try:
                client.async_stream_infer(**self._stream_arguments(request))
            except InferenceServerException as broken:
                # the stream broke before: why, its callback is told
                is_answered = True
                raise error_from_grpc(_cause(answers) or broken, self._endpoint.url, timeout) from broken
            while not is_answered:
                try:
                    result, error = answers.get(timeout=timeout)
                except queue.Empty:
                    raise timeout_error(self._endpoint.url, timeout) from None
                is_answered = error is not None or is_last(result)
                if error is not None:
                    raise error_from_grpc(error, self._endpoint.url, timeout) from error
                if answer := decode_response(result):
                    yield answer
        finally:
            self._end(client, request, is_answered)

    def _end(self, client: Any, request: Request, is_answered: bool) -> None:
        """Read a stream to its end, cancelling the request first where it is not answered yet, as `Transport` says."""

        def break_off() -> None:
            # it has ended meanwhile, or ends now
            with suppress(Exception):
                client.stop_stream(cancel_requests=True)

        watchdog = threading.Timer(CANCEL_SECONDS, break_off)
        watchdog.daemon = True
        watchdog.start()
        try:
            if not is_answered and request.owns_token and request.token is not None:
                with suppress(OcrvlError):
                    self.infer(encode_cancel(request.token), CANCEL_SECONDS)
            client.stop_stream(cancel_requests=not (is_answered or request.owns_token))
        finally:
            watchdog.cancel()
            client.close()

    def register(self, name: str, key: str, size: int) -> None:
        timeout = self._endpoint.timeout
        with self._errors(timeout):
            self._client.register_system_shared_memory(name, key, size, **self._region_arguments(timeout))

    def unregister(self, name: str, timeout: float) -> None:
        with self._errors(timeout):
            self._client.unregister_system_shared_memory(name, **self._region_arguments(timeout))

    def is_live(self) -> bool:
        return self._check(self._client.is_server_live)

    def is_ready(self) -> bool:
        return self._check(self._client.is_server_ready)

    def metadata(self) -> ServerMetadata:
        with self._errors(self._endpoint.timeout):
            return decode_metadata(self._client.get_server_metadata(**self._call_arguments()))

    def close(self) -> None:
        self._client.close()

    def _check(self, call: Callable[..., Any]) -> bool:
        try:
            return bool(call(**self._call_arguments()))
        except InferenceServerException:
            return False


def _cause(answers: _Answers) -> InferenceServerException | None:
    with suppress(queue.Empty):
        return answers.get(timeout=CANCEL_SECONDS)[1]
    return None
