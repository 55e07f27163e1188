"""gRPC for threads."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator
from contextlib import suppress
from typing import Any

import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

from ocrvl.wire import Tensor
from ocrvl_client._errors import OcrvlError
from ocrvl_client._messages import Array, Request, ServerMetadata, encode_cancel
from ocrvl_client._transports.grpc_options import client_arguments
from ocrvl_client._transports.protocol import END_SECONDS, Endpoint
from ocrvl_client._transports.tensors import ask_outputs, fill_inputs, read_outputs
from ocrvl_client._transports.translate import no_answer, translate_grpc


class GrpcTransport:
    """Unary gRPC and streams, from any number of threads over one connection."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._client = triton.InferenceServerClient(**client_arguments(endpoint))

    def infer(self, request: Request, timeout: float) -> dict[Tensor, Array]:
        try:
            result = self._client.infer(
                request.model.value,
                fill_inputs(triton.InferInput, request),
                outputs=ask_outputs(triton.InferRequestedOutput, request),
                request_id=request.id,
                client_timeout=timeout,
                headers=self._endpoint.headers,
            )
        except InferenceServerException as error:
            raise translate_grpc(error, self._endpoint.url, timeout) from error
        return read_outputs(request, result)

    def stream(self, request: Request, timeout: float) -> Generator[dict[Tensor, Array], None, None]:
        answers: queue.Queue[tuple[Any, InferenceServerException | None]] = queue.Queue()
        # a client has one stream, so every request has a client; gRPC lets them share the connection
        client = triton.InferenceServerClient(**client_arguments(self._endpoint))
        client.start_stream(lambda result, error: answers.put((result, error)), headers=self._endpoint.headers)
        is_answered = False
        try:
            try:
                client.async_stream_infer(
                    request.model.value,
                    fill_inputs(triton.InferInput, request),
                    request_id=request.id,
                    enable_empty_final_response=True,
                )
            except InferenceServerException as broken:
                # the stream broke before: why, its callback is told
                is_answered = True
                raise translate_grpc(_cause(answers) or broken, self._endpoint.url, timeout) from broken
            while not is_answered:
                try:
                    result, error = answers.get(timeout=timeout)
                except queue.Empty:
                    raise no_answer(self._endpoint.url, timeout) from None
                is_answered = error is not None or is_last(result)
                if error is not None:
                    raise translate_grpc(error, self._endpoint.url, timeout) from error
                if answer := read_answer(result):
                    yield answer
        finally:
            self._end(client, request, is_answered)

    def _end(self, client: Any, request: Request, is_answered: bool) -> None:
        """Read a stream to its end, ending the request first where it is not answered yet, as `Transport` says."""

        def break_off() -> None:
            # it has ended meanwhile, or ends now
            with suppress(Exception):
                client.stop_stream(cancel_requests=True)

        watch = threading.Timer(END_SECONDS, break_off)
        watch.daemon = True
        watch.start()
        try:
            if not is_answered and request.owns_token and request.token is not None:
                with suppress(OcrvlError):
                    self.infer(encode_cancel(request.token), END_SECONDS)
            client.stop_stream(cancel_requests=not (is_answered or request.owns_token))
        finally:
            watch.cancel()
            client.close()

    def register(self, name: str, key: str, size: int) -> None:
        try:
            self._client.register_system_shared_memory(
                name, key, size, headers=self._endpoint.shared_memory_headers, client_timeout=self._endpoint.timeout
            )
        except InferenceServerException as error:
            raise translate_grpc(error, self._endpoint.url, self._endpoint.timeout) from error

    def unregister(self, name: str, timeout: float) -> None:
        try:
            self._client.unregister_system_shared_memory(
                name, headers=self._endpoint.shared_memory_headers, client_timeout=timeout
            )
        except InferenceServerException as error:
            raise translate_grpc(error, self._endpoint.url, timeout) from error

    def is_live(self) -> bool:
        return self._ask(self._client.is_server_live)

    def is_ready(self) -> bool:
        return self._ask(self._client.is_server_ready)

    def metadata(self) -> ServerMetadata:
        try:
            told = self._client.get_server_metadata(
                headers=self._endpoint.headers, client_timeout=self._endpoint.timeout
            )
        except InferenceServerException as error:
            raise translate_grpc(error, self._endpoint.url, self._endpoint.timeout) from error
        return ServerMetadata(told.name, told.version, tuple(told.extensions))

    def close(self) -> None:
        self._client.close()

    def _ask(self, question: Any) -> bool:
        try:
            return bool(question(headers=self._endpoint.headers, client_timeout=self._endpoint.timeout))
        except InferenceServerException:
            return False


def _cause(answers: queue.Queue[tuple[Any, InferenceServerException | None]]) -> InferenceServerException | None:
    with suppress(queue.Empty):
        return answers.get(timeout=END_SECONDS)[1]
    return None


def read_answer(result: Any) -> dict[Tensor, Array]:
    """The tensors of one answer on a stream; none in the empty one that may end it."""
    return {Tensor(output.name): result.as_numpy(output.name) for output in result.get_response().outputs}


def is_last(result: Any) -> bool:
    """Whether nothing follows on the stream."""
    return bool(result.get_response().parameters["triton_final_response"].bool_param)
