"""gRPC for asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import suppress
from typing import Any

import grpc
import tritonclient.grpc.aio as triton
from tritonclient.utils import InferenceServerException

from ocrvl.wire import Tensor
from ocrvl_client._errors import OcrvlError
from ocrvl_client._messages import Array, Request, encode_cancel
from ocrvl_client._transports.endpoint import Endpoint
from ocrvl_client._transports.errors import error_from_grpc, timeout_error
from ocrvl_client._transports.grpc_base import GrpcBase, decode_metadata, decode_response, is_last
from ocrvl_client._transports.protocol import CANCEL_SECONDS, ServerMetadata
from ocrvl_client._transports.tritonclient_calls import decode_outputs


class AsyncGrpcTransport(GrpcBase):
    """Unary gRPC and streams over one connection. Made and used in one event loop."""

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__(endpoint)
        self._client = triton.InferenceServerClient(**self._channel_arguments())
        self._endings: set[asyncio.Future[None]] = set()
        """Of requests that were abandoned and streams that were left early."""

    async def infer(self, request: Request, timeout: float) -> dict[Tensor, Array]:
        arguments = self._infer_arguments(request, timeout + CANCEL_SECONDS)
        call = asyncio.ensure_future(self._client.infer(**arguments))
        try:
            if not (await asyncio.wait([call], timeout=timeout))[0]:
                raise timeout_error(self._endpoint.url, timeout)
            with self._errors(timeout):
                return decode_outputs(request, call.result())
        finally:
            if not call.done():
                # who abandons it cancels it by its token, if it has one
                self._keep(asyncio.ensure_future(_break_off(call)))

    async def stream(self, request: Request, timeout: float) -> AsyncGenerator[dict[Tensor, Array], None]:
        async def requests() -> AsyncIterator[dict[str, Any]]:
            yield self._stream_arguments(request)

        reader = _StreamReader(self._client.stream_infer(requests(), headers=self._endpoint.headers))
        try:
            while (received := await self._receive(reader, timeout)) is not None:
                if answer := decode_response(received):
                    yield answer
        finally:
            if not reader.has_ended:
                # in a task of its own: who is cancelled once more must not break it off
                ending = asyncio.ensure_future(self._end(reader, request))
                self._keep(ending)
                await asyncio.shield(ending)

    async def _receive(self, reader: _StreamReader, timeout: float) -> Any | None:
        try:
            received = await reader.read(timeout)
        except TimeoutError:
            raise timeout_error(self._endpoint.url, timeout) from None
        except grpc.RpcError as failure:
            error = InferenceServerException(failure.details(), str(failure.code()))
            raise error_from_grpc(error, self._endpoint.url, timeout) from failure
        if received is None:
            return None
        result, error = received
        if error is not None:
            raise error_from_grpc(error, self._endpoint.url, timeout) from error
        return result

    async def _end(self, reader: _StreamReader, request: Request) -> None:
        """Read a stream to its end, cancelling the request first where it is not answered yet, as `Transport` says."""
        try:
            if not (reader.is_answered or request.owns_token):
                return
            with suppress(OcrvlError, grpc.RpcError, TimeoutError):
                async with asyncio.timeout(CANCEL_SECONDS):
                    if not reader.is_answered and request.token is not None:
                        await self.infer(encode_cancel(request.token), CANCEL_SECONDS)
                    while await reader.read(CANCEL_SECONDS) is not None:
                        pass
        finally:
            reader.close()

    async def register(self, name: str, key: str, size: int) -> None:
        timeout = self._endpoint.timeout
        with self._errors(timeout):
            await self._client.register_system_shared_memory(name, key, size, **self._region_arguments(timeout))

    async def unregister(self, name: str, timeout: float) -> None:
        with self._errors(timeout):
            await self._client.unregister_system_shared_memory(name, **self._region_arguments(timeout))

    async def is_live(self) -> bool:
        return await self._check(self._client.is_server_live)

    async def is_ready(self) -> bool:
        return await self._check(self._client.is_server_ready)

    async def metadata(self) -> ServerMetadata:
        with self._errors(self._endpoint.timeout):
            return decode_metadata(await self._client.get_server_metadata(**self._call_arguments()))

    async def close(self) -> None:
        if self._endings:
            await asyncio.wait(self._endings)
        await self._client.close()

    def _keep(self, ending: asyncio.Future[None]) -> None:
        self._endings.add(ending)
        ending.add_done_callback(self._endings.discard)

    async def _check(self, call: Callable[..., Any]) -> bool:
        try:
            return bool(await call(**self._call_arguments()))
        except InferenceServerException:
            return False


async def _break_off(call: asyncio.Future[Any]) -> None:
    """Break a call off that has not ended within `CANCEL_SECONDS`, see `Transport.stream`."""
    try:
        await asyncio.wait([call], timeout=CANCEL_SECONDS)
    finally:
        call.cancel()
        with suppress(InferenceServerException, asyncio.CancelledError):
            await call


class _StreamReader:
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
