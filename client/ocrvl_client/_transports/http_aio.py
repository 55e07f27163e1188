"""HTTP for asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable
from typing import Any, TypeVar

import aiohttp
import tritonclient.http as triton
import tritonclient.http.aio as triton_aio
from tritonclient.utils import InferenceServerException

from ocrvl.wire import Tensor
from ocrvl_client._errors import OcrvlError
from ocrvl_client._messages import Array, Request, ServerMetadata
from ocrvl_client._transports.generate import decode_event, decode_refusal, encode_body, path_of
from ocrvl_client._transports.protocol import Endpoint
from ocrvl_client._transports.tensors import ask_outputs, fill_inputs, read_outputs
from ocrvl_client._transports.translate import error_from_triton, lost, no_answer, no_http_server, tls_mismatch

T = TypeVar("T")


class AsyncHttpTransport:
    """HTTP with binary tensors; streams by server-sent events. Made and used in one event loop."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        tls = endpoint.tls
        context = tls.context() if tls else None
        self._client = triton_aio.InferenceServerClient(
            endpoint.url, conn_limit=0, conn_timeout=None, ssl=tls is not None, ssl_context=context
        )
        self._scheme = "https" if tls else "http"
        self._events = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context or True))

    async def infer(self, request: Request, timeout: float) -> dict[Tensor, Array]:
        asked = self._client.infer(
            request.model.value,
            fill_inputs(triton.InferInput, request),
            outputs=ask_outputs(triton.InferRequestedOutput, request),
            request_id=request.id,
            headers=dict(self._endpoint.headers),
        )
        return read_outputs(request, await self._call(asked, timeout))

    async def stream(self, request: Request, timeout: float) -> AsyncGenerator[dict[Tensor, Array], None]:
        url = f"{self._scheme}://{self._endpoint.url}{path_of(request.model)}"
        headers = {"Content-Type": "application/json", **self._endpoint.headers}
        patience = aiohttp.ClientTimeout(total=None, sock_connect=timeout, sock_read=timeout)
        # a file of many megabytes takes long to write down in base64, and the loop has others to serve
        body = await asyncio.to_thread(encode_body, request)
        try:
            async with self._events.post(url, data=body, headers=headers, timeout=patience) as response:
                if response.status != 200:
                    raise decode_refusal(response.status, await response.read())
                async for line in _lines(response.content):
                    if answer := decode_event(line):
                        yield answer
        except (OSError, aiohttp.ClientError) as error:
            raise self._translate(error, timeout) from error

    async def register(self, name: str, key: str, size: int) -> None:
        asked = self._client.register_system_shared_memory(
            name, key, size, headers=self._endpoint.shared_memory_headers
        )
        await self._call(asked, self._endpoint.timeout)

    async def unregister(self, name: str, timeout: float) -> None:
        asked = self._client.unregister_system_shared_memory(name, headers=self._endpoint.shared_memory_headers)
        await self._call(asked, timeout)

    async def is_live(self) -> bool:
        return await self._ask(self._client.is_server_live(headers=dict(self._endpoint.headers)))

    async def is_ready(self) -> bool:
        return await self._ask(self._client.is_server_ready(headers=dict(self._endpoint.headers)))

    async def metadata(self) -> ServerMetadata:
        asked = self._client.get_server_metadata(headers=dict(self._endpoint.headers))
        told: Any = await self._call(asked, self._endpoint.timeout)
        return ServerMetadata(told["name"], told["version"], tuple(told["extensions"]))

    async def close(self) -> None:
        await self._client.close()
        await self._events.close()

    async def _ask(self, asked: Awaitable[bool]) -> bool:
        try:
            return bool(await self._call(asked, self._endpoint.timeout))
        except OcrvlError:
            return False

    async def _call(self, asked: Awaitable[T], timeout: float) -> T:
        try:
            async with asyncio.timeout(timeout):
                return await asked
        except InferenceServerException as error:
            raise error_from_triton(error) from error
        except (OSError, aiohttp.ClientError) as error:
            raise self._translate(error, timeout) from error

    def _translate(self, error: Exception, timeout: float) -> OcrvlError:
        url = self._endpoint.url
        if isinstance(error, TimeoutError):
            return no_answer(url, timeout)
        if isinstance(error, aiohttp.ClientSSLError):
            return tls_mismatch(url, error)
        if isinstance(error, aiohttp.ClientConnectorError):
            return no_http_server(url, error)
        return lost(url, error)


async def _lines(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """Lines of any length; aiohttp's own refuse those longer than its buffer."""
    rest = bytearray()
    async for data in content.iter_any():
        rest += data
        if b"\n" in data:
            *whole, last = rest.split(b"\n")
            for line in whole:
                yield bytes(line)
            rest = bytearray(last)
    if rest:
        yield bytes(rest)
