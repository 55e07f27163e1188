"""gRPC for asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import suppress
from typing import Any

import grpc
import tritonclient.grpc as triton
import tritonclient.grpc.aio as triton_aio
from tritonclient.utils import InferenceServerException

from ocrvl.wire import Tensor
from ocrvl_client._errors import OcrvlError
from ocrvl_client._messages import Array, Request, ServerMetadata, encode_cancel
from ocrvl_client._transports.grpc_options import client_arguments
from ocrvl_client._transports.grpc_sync import is_last, read_answer
from ocrvl_client._transports.protocol import END_SECONDS, Endpoint
from ocrvl_client._transports.tensors import ask_outputs, fill_inputs, read_outputs
from ocrvl_client._transports.translate import no_answer, translate_grpc


class AsyncGrpcTransport:
    """Unary gRPC and streams over one connection. Made and used in one event loop."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._client = triton_aio.InferenceServerClient(**client_arguments(endpoint))
        self._endings: set[asyncio.Future[None]] = set()
        """Of requests that were given up and streams that were left early."""

    async def infer(self, request: Request, timeout: float) -> dict[Tensor, Array]:
        asked = asyncio.ensure_future(
            self._client.infer(
                request.model.value,
                fill_inputs(triton.InferInput, request),
                outputs=ask_outputs(triton.InferRequestedOutput, request),
                request_id=request.id,
                client_timeout=timeout + END_SECONDS,
                headers=self._endpoint.headers,
            )
        )
        try:
            if not (await asyncio.wait([asked], timeout=timeout))[0]:
                raise no_answer(self._endpoint.url, timeout)
            return read_outputs(request, asked.result())
        except InferenceServerException as error:
            raise translate_grpc(error, self._endpoint.url, timeout) from error
        finally:
            if not asked.done():
                # whoever gives it up ends it by its token, if it has one
                self._keep(asyncio.ensure_future(_break_off(asked)))

    async def stream(self, request: Request, timeout: float) -> AsyncGenerator[dict[Tensor, Array], None]:
        async def requests() -> AsyncIterator[dict[str, Any]]:
            yield {
                "model_name": request.model.value,
                "inputs": fill_inputs(triton.InferInput, request),
                "request_id": request.id,
                "enable_empty_final_response": True,
            }

        reader = _Reader(self._client.stream_infer(requests(), headers=self._endpoint.headers))
        try:
            while (received := await self._receive(reader, timeout)) is not None:
                if answer := read_answer(received):
                    yield answer
        finally:
            if not reader.has_ended:
                # in a task of its own: who is cancelled once more must not break it off
                ending = asyncio.ensure_future(self._end(reader, request))
                self._keep(ending)
                await asyncio.shield(ending)

    async def _receive(self, reader: _Reader, timeout: float) -> Any | None:
        try:
            received = await reader.read(timeout)
        except TimeoutError:
            raise no_answer(self._endpoint.url, timeout) from None
        except grpc.RpcError as failure:
            told = InferenceServerException(failure.details(), str(failure.code()))
            raise translate_grpc(told, self._endpoint.url, timeout) from failure
        if received is None:
            return None
        result, error = received
        if error is not None:
            raise translate_grpc(error, self._endpoint.url, timeout) from error
        return result

    async def _end(self, reader: _Reader, request: Request) -> None:
        """Read a stream to its end, ending the request first where it is not answered yet, as `Transport` says."""
        try:
            if not (reader.is_answered or request.owns_token):
                return
            with suppress(OcrvlError, grpc.RpcError, TimeoutError):
                async with asyncio.timeout(END_SECONDS):
                    if not reader.is_answered and request.token is not None:
                        await self.infer(encode_cancel(request.token), END_SECONDS)
                    while await reader.read(END_SECONDS) is not None:
                        pass
        finally:
            reader.close()

    async def register(self, name: str, key: str, size: int) -> None:
        try:
            await self._client.register_system_shared_memory(
                name, key, size, headers=self._endpoint.shared_memory_headers, client_timeout=self._endpoint.timeout
            )
        except InferenceServerException as error:
            raise translate_grpc(error, self._endpoint.url, self._endpoint.timeout) from error

    async def unregister(self, name: str, timeout: float) -> None:
        try:
            await self._client.unregister_system_shared_memory(
                name, headers=self._endpoint.shared_memory_headers, client_timeout=timeout
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
        if self._endings:
            await asyncio.wait(self._endings)
        await self._client.close()

    def _keep(self, ending: asyncio.Future[None]) -> None:
        self._endings.add(ending)
        ending.add_done_callback(self._endings.discard)

    async def _ask(self, question: Any) -> bool:
        try:
            return bool(await question(headers=self._endpoint.headers, client_timeout=self._endpoint.timeout))
        except InferenceServerException:
            return False


async def _break_off(asked: asyncio.Future[Any]) -> None:
    """Break a call off that has not ended within `END_SECONDS`, see `Transport.stream`."""
    try:
        await asyncio.wait([asked], timeout=END_SECONDS)
    finally:
        asked.cancel()
        with suppress(InferenceServerException, asyncio.CancelledError):
            await asked


class _Reader:
    """Reads a stream of one request.

    gRPC's own reader breaks the call off when who waits for it is cancelled; this one leaves it as it is.
    """

    def __init__(self, call: Any) -> None:
        self._call = call
        self._reading: asyncio.Future[Any] | None = None
        self.is_answered = False
        """Whether the server has sent the last answer, or an error."""
        self.has_ended = False
        """Whether nothing is left of the call."""

    async def read(self, timeout: float) -> tuple[Any, InferenceServerException | None] | None:
        """The next answer or error, None at the end. Raises `grpc.RpcError`, and `TimeoutError`."""
        if self._reading is None:
            self._reading = asyncio.ensure_future(anext(self._call))
        if not (await asyncio.wait([self._reading], timeout=timeout))[0]:
            raise TimeoutError
        reading, self._reading = self._reading, None
        try:
            result, error = reading.result()
        except (StopAsyncIteration, grpc.RpcError, asyncio.CancelledError) as end:
            self.has_ended = True
            if isinstance(end, StopAsyncIteration):
                return None
            raise
        self.is_answered = self.is_answered or error is not None or is_last(result)
        return result, error

    def close(self) -> None:
        """Break off what has not ended."""
        if not self.has_ended:
            self._call.cancel()
            if self._reading is not None:
                self._reading.cancel()
