"""HTTP for asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable
from typing import Any, TypeVar

import aiohttp
import tritonclient.http.aio as triton

from ocrvl.wire import Tensor
from ocrvl_client._errors import OcrvlError
from ocrvl_client._messages import Array, Request
from ocrvl_client._transports.endpoint import Endpoint
from ocrvl_client._transports.generate import decode_event, decode_refusal, encode_body, path_of
from ocrvl_client._transports.http_base import HttpBase, decode_metadata
from ocrvl_client._transports.protocol import ServerMetadata
from ocrvl_client._transports.tritonclient_calls import decode_outputs

T = TypeVar("T")


class AsyncHttpTransport(HttpBase):
    """HTTP with binary tensors; streams by server-sent events. Made and used in one event loop."""

    library_errors = (OSError, aiohttp.ClientError)
    tls_errors = (aiohttp.ClientSSLError,)
    connect_errors = (aiohttp.ClientConnectorError,)

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__(endpoint)
        tls = endpoint.tls
        context = tls.context() if tls else None
        self._client = triton.InferenceServerClient(
            endpoint.url, conn_limit=0, conn_timeout=None, ssl=tls is not None, ssl_context=context
        )
        self._scheme = "https" if tls else "http"
        self._events = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context or True))

    async def infer(self, request: Request, timeout: float) -> dict[Tensor, Array]:
        call = self._client.infer(**self._infer_arguments(request))
        return decode_outputs(request, await self._call(call, timeout))

    async def stream(self, request: Request, timeout: float) -> AsyncGenerator[dict[Tensor, Array], None]:
        url = f"{self._scheme}://{self._endpoint.url}{path_of(request.model)}"
        limits = aiohttp.ClientTimeout(total=None, sock_connect=timeout, sock_read=timeout)
        # a file of many megabytes takes long to write down in base64, and the loop has others to serve
        body = await asyncio.to_thread(encode_body, request)
        with self._errors(timeout):
            async with self._events.post(url, data=body, headers=self._stream_headers, timeout=limits) as response:
                if response.status != 200:
                    raise decode_refusal(response.status, await response.read())
                async for line in _lines(response.content):
                    if answer := decode_event(line):
                        yield answer

    async def register(self, name: str, key: str, size: int) -> None:
        headers = self._endpoint.shared_memory_headers
        call = self._client.register_system_shared_memory(name, key, size, headers=headers)
        await self._call(call, self._endpoint.timeout)

    async def unregister(self, name: str, timeout: float) -> None:
        headers = self._endpoint.shared_memory_headers
        await self._call(self._client.unregister_system_shared_memory(name, headers=headers), timeout)

    async def is_live(self) -> bool:
        return await self._check(self._client.is_server_live(headers=self._headers))

    async def is_ready(self) -> bool:
        return await self._check(self._client.is_server_ready(headers=self._headers))

    async def metadata(self) -> ServerMetadata:
        call: Awaitable[Any] = self._client.get_server_metadata(headers=self._headers)
        return decode_metadata(await self._call(call, self._endpoint.timeout))

    async def close(self) -> None:
        await self._client.close()
        await self._events.close()

    async def _check(self, call: Awaitable[bool]) -> bool:
        try:
            return bool(await self._call(call, self._endpoint.timeout))
        except OcrvlError:
            return False

    async def _call(self, call: Awaitable[T], timeout: float) -> T:
        with self._errors(timeout):
            async with asyncio.timeout(timeout):
                return await call


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
