"""gRPC for asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import tritonclient.grpc as triton
import tritonclient.grpc.aio as triton_aio
from tritonclient.utils import InferenceServerException

from ocrvl.wire import Tensor
from ocrvl_client._messages import Array, Request, ServerMetadata
from ocrvl_client._transports.grpc_options import client_arguments
from ocrvl_client._transports.grpc_sync import is_last, read_answer
from ocrvl_client._transports.protocol import Endpoint
from ocrvl_client._transports.tensors import ask_outputs, fill_inputs, read_outputs
from ocrvl_client._transports.translate import no_answer, translate_grpc


class AsyncGrpcTransport:
    """Unary gRPC and streams over one connection. Made and used in one event loop."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._client = triton_aio.InferenceServerClient(**client_arguments(endpoint))

    async def infer(self, request: Request, timeout: float) -> dict[Tensor, Array]:
        try:
            result = await self._client.infer(
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

    async def stream(self, request: Request, timeout: float) -> AsyncIterator[dict[Tensor, Array]]:
        async def requests() -> AsyncIterator[dict[str, Any]]:
            yield {
                "model_name": request.model.value,
                "inputs": fill_inputs(triton.InferInput, request),
                "request_id": request.id,
                "enable_empty_final_response": True,
            }

        call = self._client.stream_infer(requests(), headers=self._endpoint.headers)
        try:
            while True:
                try:
                    result, error = await asyncio.wait_for(anext(call), timeout)
                except TimeoutError:
                    raise no_answer(self._endpoint.url, timeout) from None
                except StopAsyncIteration:
                    return
                except grpc.RpcError as failure:
                    told = InferenceServerException(failure.details(), str(failure.code()))
                    raise translate_grpc(told, self._endpoint.url, timeout) from failure
                if error is not None:
                    raise translate_grpc(error, self._endpoint.url, timeout) from error
                if answer := read_answer(result):
                    yield answer
                if is_last(result):
                    return
        finally:
            call.cancel()

    async def register(self, name: str, key: str, size: int) -> None:
        try:
            await self._client.register_system_shared_memory(
                name, key, size, headers=self._endpoint.headers, client_timeout=self._endpoint.timeout
            )
        except InferenceServerException as error:
            raise translate_grpc(error, self._endpoint.url, self._endpoint.timeout) from error

    async def unregister(self, name: str, timeout: float) -> None:
        try:
            await self._client.unregister_system_shared_memory(
                name, headers=self._endpoint.headers, client_timeout=timeout
            )
        except InferenceServerException as error:
            raise translate_grpc(error, self._endpoint.url, timeout) from error

    async def is_live(self) -> bool:
        return await self._ask(self._client.is_server_live)

    async def is_ready(self) -> bool:
        return await self._ask(self._client.is_server_ready)

    async def metadata(self) -> ServerMetadata:
        try:
            told = await self._client.get_server_metadata(
                headers=self._endpoint.headers, client_timeout=self._endpoint.timeout
            )
        except InferenceServerException as error:
            raise translate_grpc(error, self._endpoint.url, self._endpoint.timeout) from error
        return ServerMetadata(told.name, told.version, tuple(told.extensions))

    async def close(self) -> None:
        await self._client.close()

    async def _ask(self, question: Any) -> bool:
        try:
            return bool(await question(headers=self._endpoint.headers, client_timeout=self._endpoint.timeout))
        except InferenceServerException:
            return False
