"""Transports whose images and files go by shared memory, where client and server run on one machine."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import suppress
from typing import Final

from ocrvl.wire import Tensor
from ocrvl_client._errors import OcrvlError
from ocrvl_client._messages import Array, Request
from ocrvl_client._transports.protocol import AsyncServerTransport, ServerMetadata, ServerTransport
from ocrvl_client._transports.regions import Region, Regions

_UNREGISTER_SECONDS: Final = 2.0


class SharedMemoryTransport:
    """In front of a transport to one server; streams go as they are."""

    def __init__(self, transport: ServerTransport) -> None:
        self._transport = transport
        self._regions = Regions()

    def infer(self, request: Request, timeout: float) -> dict[Tensor, Array]:
        if (tensor := _largest(request.inputs)) is None:
            return self._transport.infer(request, timeout)
        self._unregister(self._regions.pop_retired())
        with self._regions.share(request, tensor) as (region, shared):
            self._register(region)
            try:
                return self._transport.infer(shared, timeout)
            except OcrvlError as error:
                if not region.was_forgotten(error):
                    raise
            self._register(region)
            return self._transport.infer(shared, timeout)

    def _register(self, region: Region) -> None:
        if not region.is_registered:
            with region.registration():
                self._transport.register(region.name, region.key, region.memory.size)

    def _unregister(self, names: list[str]) -> None:
        with suppress(OcrvlError):
            for name in names:
                self._transport.unregister(name, _UNREGISTER_SECONDS)

    def stream(self, request: Request, timeout: float) -> Generator[dict[Tensor, Array], None, None]:
        return self._transport.stream(request, timeout)

    def is_live(self) -> bool:
        return self._transport.is_live()

    def is_ready(self) -> bool:
        return self._transport.is_ready()

    def metadata(self) -> ServerMetadata:
        return self._transport.metadata()

    def close(self) -> None:
        self._unregister(self._regions.close())
        self._transport.close()


class AsyncSharedMemoryTransport:
    """As `SharedMemoryTransport`, for asyncio."""

    def __init__(self, transport: AsyncServerTransport) -> None:
        self._transport = transport
        self._regions = Regions()

    async def infer(self, request: Request, timeout: float) -> dict[Tensor, Array]:
        if (tensor := _largest(request.inputs)) is None:
            return await self._transport.infer(request, timeout)
        await self._unregister(self._regions.pop_retired())
        with self._regions.share(request, tensor) as (region, shared):
            await self._register(region)
            try:
                return await self._transport.infer(shared, timeout)
            except OcrvlError as error:
                if not region.was_forgotten(error):
                    raise
            await self._register(region)
            return await self._transport.infer(shared, timeout)

    async def _register(self, region: Region) -> None:
        if not region.is_registered:
            with region.registration():
                await self._transport.register(region.name, region.key, region.memory.size)

    async def _unregister(self, names: list[str]) -> None:
        with suppress(OcrvlError):
            for name in names:
                await self._transport.unregister(name, _UNREGISTER_SECONDS)

    def stream(self, request: Request, timeout: float) -> AsyncGenerator[dict[Tensor, Array], None]:
        return self._transport.stream(request, timeout)

    async def is_live(self) -> bool:
        return await self._transport.is_live()

    async def is_ready(self) -> bool:
        return await self._transport.is_ready()

    async def metadata(self) -> ServerMetadata:
        return await self._transport.metadata()

    async def close(self) -> None:
        await self._unregister(self._regions.close())
        await self._transport.close()


def _largest(inputs: Mapping[Tensor, Array]) -> Tensor | None:
    """The input that is worth sharing: images or a file."""
    return next((name for name in (Tensor.IMAGE, Tensor.FILE) if name in inputs), None)
