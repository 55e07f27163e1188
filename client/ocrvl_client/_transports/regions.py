"""Regions of shared memory that requests hand their inputs over in, where client and server see the same `/dev/shm`.

Triton's system shared memory extension: a region is registered once, then a request only points at it.
"""

from __future__ import annotations

import os
import struct
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from multiprocessing.shared_memory import SharedMemory
from typing import Final

from ocrvl.wire import Tensor
from ocrvl_client._errors import InvalidRequest, OcrvlError
from ocrvl_client._messages import Array, Request, SharedInput

_SMALLEST: Final = 2**20
"""Bytes of a region; larger ones double, so that few sizes serve many images."""

_LENGTH: Final = struct.Struct("<I")
"""A BYTES element is its length in four bytes, little endian, and its bytes (Triton's binary tensor data extension)."""

_RETIREMENT_SECONDS: Final = 600.0
"""How long after a request was abandoned the server may still read its region: far beyond what it lets one wait.
Triton 2.51 unmaps a region at once when it is unregistered, and would die of a request that reads it after that."""

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

    def write(self, tensor: Tensor, array: Array) -> SharedInput:
        """Write a BYTES tensor into it."""
        buffer = self.memory.buf
        assert buffer is not None
        position = 0
        for value in array.ravel():
            _LENGTH.pack_into(buffer, position, len(value))
            position += _LENGTH.size
            buffer[position : position + len(value)] = value
            position += len(value)
        return SharedInput(tensor, self.name, position)

    @contextmanager
    def registration(self) -> Iterator[None]:
        """In the block it is registered with the server. Raises why it cannot be, as what to do about it."""
        try:
            yield
        except OcrvlError as error:
            raise _registration_error(error) from error
        self.is_registered = True

    def was_forgotten(self, error: OcrvlError) -> bool:
        """Whether a request failed since the server does not know the region any more; then it is not registered."""
        if _UNKNOWN_REGION not in str(error):
            return False
        self.is_registered = False
        return True


class Regions:
    """The regions of one client at one server: as many as it has had requests in flight. Safe for threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._idle: list[Region] = []
        self._all: list[Region] = []
        self._retired: list[tuple[float, str]] = []

    @contextmanager
    def share(self, request: Request, tensor: Tensor) -> Iterator[tuple[Region, Request]]:
        """In the block, a region with this input in it, and the request that points at it.

        Raises `InvalidRequest` where there is no memory.
        """
        array = request.inputs[tensor]
        region = self.lease(sum(_LENGTH.size + len(value) for value in array.ravel()))
        try:
            yield region, replace(request, shared=region.write(tensor, array))
        except BaseException as error:
            self.release(region, error)
            raise
        self.release(region)

    def lease(self, size: int) -> Region:
        """A region of at least so many bytes, for one request. Raises `InvalidRequest` where there is no memory."""
        with self._lock:
            fitting = [region for region in self._idle if region.memory.size >= size]
            if fitting:
                region = min(fitting, key=lambda one: one.memory.size)
                self._idle.remove(region)
                return region
        try:
            rounded = max(_SMALLEST, 1 << (size - 1).bit_length())
            region = Region(SharedMemory(f"ocrvl_client_{os.getpid()}_{uuid.uuid4().hex}", create=True, size=rounded))
        except OSError as error:
            raise InvalidRequest(f"shared_memory: no room for {size} bytes in /dev/shm: {error}") from None
        with self._lock:
            self._all.append(region)
        return region

    def release(self, region: Region, error: BaseException | None = None) -> None:
        """The request is over. The next one may have its region if the server has answered, so does not read it.

        What the server refused it has answered. After a timeout or a lost connection it may still read the region.
        """
        is_answered = error is None or (
            isinstance(error, OcrvlError) and (error.from_server or isinstance(error, InvalidRequest))
        )
        with self._lock:
            if region not in self._all:
                return
            if is_answered:
                self._idle.append(region)
                return
            self._all.remove(region)
            self._retired.append((self._clock() + _RETIREMENT_SECONDS, region.name))
        _destroy(region)

    def pop_retired(self) -> list[str]:
        """The names of regions that were retired so long ago that the server can unregister them."""
        with self._lock:
            now = self._clock()
            due = [name for at, name in self._retired if at <= now]
            self._retired = self._retired[len(due) :]
            return due

    def close(self) -> list[str]:
        """Remove all of them from the system; the names that the server can unregister."""
        names = self.pop_retired()
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


def _registration_error(error: OcrvlError) -> OcrvlError:
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
