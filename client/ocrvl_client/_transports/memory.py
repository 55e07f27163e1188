"""Inputs handed over in shared memory, where client and server run on one machine and see the same `/dev/shm`.

Triton's system shared memory extension: a region is registered once, then a request only points at it.
"""

from __future__ import annotations

import os
import struct
import threading
import time
import uuid
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.shared_memory import SharedMemory
from typing import Final

from ocrvl.wire import Tensor
from ocrvl_client._errors import InvalidRequest, OcrvlError
from ocrvl_client._messages import Array, Placed, Request, ServerMetadata
from ocrvl_client._transports.protocol import AsyncTransport, Transport

_SMALLEST: Final = 2**20
"""Bytes of a region; larger ones double, so that few sizes serve many images."""

_LENGTH: Final = struct.Struct("<I")
"""A BYTES element is its length in four bytes, little endian, and its bytes (Triton's binary tensor data extension)."""

_QUIET_SECONDS: Final = 600.0
"""How long after a request was given up the server may still look at its region: far beyond what it lets one wait.
Triton 2.51 unmaps a region at once when it is told to, and would die of a request that reads it after that."""

_UNREGISTER_SECONDS: Final = 2.0

_UNKNOWN_REGION: Final = "Unable to find shared memory region"
"""Triton's words where it has been started again since the region was registered."""


_UNOPENED: Final = "Unable to open shared memory region"
"""Triton's words, which it calls INTERNAL, where a region is not in its own `/dev/shm`."""

_RESTRICTED: Final = "is restricted, expecting header"
"""Triton's words where shared memory is closed; over gRPC it calls that UNAVAILABLE."""


@dataclass(eq=False)
class Region:
    """A piece of shared memory that one request at a time uses."""

    memory: SharedMemory
    is_registered: bool = False

    @property
    def name(self) -> str:
        """What the server knows it by."""
        return self.memory.name

    @property
    def key(self) -> str:
        """What the system knows it by."""
        return f"/{self.memory.name}"

    def place(self, tensor: Tensor, array: Array) -> Placed:
        """Write a BYTES tensor into it."""
        buffer = self.memory.buf
        assert buffer is not None
        at = 0
        for value in array.ravel():
            _LENGTH.pack_into(buffer, at, len(value))
            at += _LENGTH.size
            buffer[at : at + len(value)] = value
            at += len(value)
        return Placed(tensor, self.name, at)


class Regions:
    """The regions of one client at one server: as many as it has had requests in flight. Safe for threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._idle: list[Region] = []
        self._all: list[Region] = []
        self._dropped: list[tuple[float, str]] = []

    def lease(self, size: int) -> Region:
        """A region of at least so many bytes, for one request. Raises `InvalidRequest` where there is no memory."""
        with self._lock:
            fitting = [region for region in self._idle if region.memory.size >= size]
            if fitting:
                region = min(fitting, key=lambda one: one.memory.size)
                self._idle.remove(region)
                return region
        try:
            wanted = max(_SMALLEST, 1 << (size - 1).bit_length())
            region = Region(SharedMemory(f"ocrvl_client_{os.getpid()}_{uuid.uuid4().hex}", create=True, size=wanted))
        except OSError as error:
            raise InvalidRequest(f"shared_memory: {size} bytes cannot be had in /dev/shm: {error}") from None
        with self._lock:
            self._all.append(region)
        return region

    def end(self, region: Region, error: BaseException | None = None) -> None:
        """The request is over. The next one may have its region if the server has answered, so has done with it.

        What the server refused it has answered. After a timeout or a lost connection it may still read the region.
        """
        is_done_with = error is None or (
            isinstance(error, OcrvlError) and (error.is_answer or isinstance(error, InvalidRequest))
        )
        with self._lock:
            if region not in self._all:
                return
            if is_done_with:
                self._idle.append(region)
                return
            self._all.remove(region)
            self._dropped.append((self._clock() + _QUIET_SECONDS, region.name))
        _destroy(region)

    def forget_dropped(self) -> list[str]:
        """The names of regions that were dropped so long ago that the server can be told to let go of them."""
        with self._lock:
            now = self._clock()
            due = [name for at, name in self._dropped if at <= now]
            self._dropped = self._dropped[len(due) :]
            return due

    def close(self) -> list[str]:
        """Remove all of them from the system; the names that the server can be told to let go of."""
        names = self.forget_dropped()
        with self._lock:
            names += [region.name for region in self._idle if region.is_registered]
            regions, self._all, self._idle = self._all, [], []
        for region in regions:
            _destroy(region)
        return names


def _destroy(region: Region) -> None:
    with suppress(OSError):
        region.memory.unlink()
    with suppress(OSError, BufferError):
        region.memory.close()


def _largest(inputs: Mapping[Tensor, Array]) -> Tensor | None:
    """The input that is worth placing: images or a file."""
    return next((name for name in (Tensor.IMAGE, Tensor.FILE) if name in inputs), None)


def _size(array: Array) -> int:
    return sum(_LENGTH.size + len(value) for value in array.ravel())


def _is_unknown(error: OcrvlError) -> bool:
    return _UNKNOWN_REGION in str(error)


def _register_failed(error: OcrvlError) -> OcrvlError:
    if _RESTRICTED in str(error):
        return InvalidRequest(
            "shared_memory: the server does not let this client register memory: it does so on a loopback address, for "
            "clients of its own user, and anywhere with `ocrvl serve --allow shared-memory`"
        )
    if not (isinstance(error, InvalidRequest) or _UNOPENED in str(error)):
        return error
    return InvalidRequest(
        f"shared_memory: the server cannot open what this machine has in /dev/shm ({error}); do they share it?"
    )


class SharedMemoryTransport:
    """A transport whose images and files go by shared memory; streams go as they are."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._regions = Regions()

    def infer(self, request: Request, timeout: float) -> dict[Tensor, Array]:
        if (tensor := _largest(request.inputs)) is None:
            return self._transport.infer(request, timeout)
        self._unregister(self._regions.forget_dropped())
        region = self._regions.lease(_size(request.inputs[tensor]))
        try:
            placed = replace(request, placed=region.place(tensor, request.inputs[tensor]))
            self._register(region)
            try:
                answer = self._transport.infer(placed, timeout)
            except OcrvlError as error:
                if not _is_unknown(error):
                    raise
                region.is_registered = False
                self._register(region)
                answer = self._transport.infer(placed, timeout)
        except BaseException as error:
            self._regions.end(region, error)
            raise
        self._regions.end(region)
        return answer

    def _register(self, region: Region) -> None:
        if not region.is_registered:
            try:
                self.register(region.name, region.key, region.memory.size)
            except OcrvlError as error:
                raise _register_failed(error) from error
            region.is_registered = True

    def _unregister(self, names: list[str]) -> None:
        with suppress(OcrvlError):
            for name in names:
                self.unregister(name, _UNREGISTER_SECONDS)

    def stream(self, request: Request, timeout: float) -> Generator[dict[Tensor, Array], None, None]:
        return self._transport.stream(request, timeout)

    def register(self, name: str, key: str, size: int) -> None:
        self._transport.register(name, key, size)

    def unregister(self, name: str, timeout: float) -> None:
        self._transport.unregister(name, timeout)

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
    """The same for asyncio."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport
        self._regions = Regions()

    async def infer(self, request: Request, timeout: float) -> dict[Tensor, Array]:
        if (tensor := _largest(request.inputs)) is None:
            return await self._transport.infer(request, timeout)
        await self._unregister(self._regions.forget_dropped())
        region = self._regions.lease(_size(request.inputs[tensor]))
        try:
            placed = replace(request, placed=region.place(tensor, request.inputs[tensor]))
            await self._register(region)
            try:
                answer = await self._transport.infer(placed, timeout)
            except OcrvlError as error:
                if not _is_unknown(error):
                    raise
                region.is_registered = False
                await self._register(region)
                answer = await self._transport.infer(placed, timeout)
        except BaseException as error:
            self._regions.end(region, error)
            raise
        self._regions.end(region)
        return answer

    async def _register(self, region: Region) -> None:
        if not region.is_registered:
            try:
                await self.register(region.name, region.key, region.memory.size)
            except OcrvlError as error:
                raise _register_failed(error) from error
            region.is_registered = True

    async def _unregister(self, names: list[str]) -> None:
        with suppress(OcrvlError):
            for name in names:
                await self.unregister(name, _UNREGISTER_SECONDS)

    def stream(self, request: Request, timeout: float) -> AsyncGenerator[dict[Tensor, Array], None]:
        return self._transport.stream(request, timeout)

    async def register(self, name: str, key: str, size: int) -> None:
        await self._transport.register(name, key, size)

    async def unregister(self, name: str, timeout: float) -> None:
        await self._transport.unregister(name, timeout)

    async def is_live(self) -> bool:
        return await self._transport.is_live()

    async def is_ready(self) -> bool:
        return await self._transport.is_ready()

    async def metadata(self) -> ServerMetadata:
        return await self._transport.metadata()

    async def close(self) -> None:
        await self._unregister(self._regions.close())
        await self._transport.close()
