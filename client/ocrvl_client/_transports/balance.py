"""Several servers behind one client: the next request goes to the one that has the fewest in flight."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Callable, Generator, Iterator, Sequence
from contextlib import aclosing, contextmanager
from functools import partial
from typing import Final, TypeVar

import numpy as np

from ocrvl.wire import Model, Tensor
from ocrvl_client._errors import OcrvlError, ServerUnavailable
from ocrvl_client._messages import Array, Request
from ocrvl_client._transports.protocol import AsyncTransport, ServerMetadata, Transport

T = TypeVar("T")

_AVOID_SECONDS: Final = 2.0
"""How long a server that could not take a request is passed over while there are others."""


class LoadBalancer:
    """Chooses among `count` servers by their requests in flight. Safe for threads.

    >>> balancer = LoadBalancer(2)
    >>> with balancer.acquire() as first, balancer.acquire() as second:
    ...     print(first, second)
    0 1
    """

    def __init__(self, count: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._lock = threading.Lock()
        self._clock = clock
        self._in_flight = [0] * count
        self._avoid_until = [0.0] * count

    @contextmanager
    def acquire(self) -> Iterator[int]:
        """The number of the server that takes a request, which is in flight within the block."""
        with self._lock:
            now = self._clock()
            index = min(
                range(len(self._in_flight)), key=lambda one: (self._avoid_until[one] > now, self._in_flight[one], one)
            )
            self._in_flight[index] += 1
        try:
            yield index
        except ServerUnavailable:
            with self._lock:
                self._avoid_until[index] = self._clock() + _AVOID_SECONDS
            raise
        finally:
            with self._lock:
                self._in_flight[index] -= 1


class BalancedTransport:
    """One transport in front of several. A cancel goes to all, since nobody remembers who has what."""

    def __init__(self, transports: Sequence[Transport]) -> None:
        self._transports = transports
        self._balancer = LoadBalancer(len(transports))

    def infer(self, request: Request, timeout: float) -> dict[Tensor, Array]:
        if request.model is Model.CANCEL:
            return _sum_cancelled(_try_each([partial(one.infer, request, timeout) for one in self._transports]))
        with self._balancer.acquire() as index:
            return self._transports[index].infer(request, timeout)

    def stream(self, request: Request, timeout: float) -> Generator[dict[Tensor, Array], None, None]:
        with self._balancer.acquire() as index:
            yield from self._transports[index].stream(request, timeout)

    def is_live(self) -> bool:
        return any(transport.is_live() for transport in self._transports)

    def is_ready(self) -> bool:
        return any(transport.is_ready() for transport in self._transports)

    def metadata(self) -> ServerMetadata:
        return _try_each([transport.metadata for transport in self._transports])[0]

    def close(self) -> None:
        for transport in self._transports:
            transport.close()


class AsyncBalancedTransport:
    """As `BalancedTransport`, for asyncio."""

    def __init__(self, transports: Sequence[AsyncTransport]) -> None:
        self._transports = transports
        self._balancer = LoadBalancer(len(transports))

    async def infer(self, request: Request, timeout: float) -> dict[Tensor, Array]:
        if request.model is Model.CANCEL:
            calls = (one.infer(request, timeout) for one in self._transports)
            return _sum_cancelled(_answers(await asyncio.gather(*calls, return_exceptions=True)))
        with self._balancer.acquire() as index:
            return await self._transports[index].infer(request, timeout)

    async def stream(self, request: Request, timeout: float) -> AsyncGenerator[dict[Tensor, Array], None]:
        with self._balancer.acquire() as index:
            async with aclosing(self._transports[index].stream(request, timeout)) as answers:
                async for answer in answers:
                    yield answer

    async def is_live(self) -> bool:
        return any(await asyncio.gather(*(transport.is_live() for transport in self._transports)))

    async def is_ready(self) -> bool:
        return any(await asyncio.gather(*(transport.is_ready() for transport in self._transports)))

    async def metadata(self) -> ServerMetadata:
        calls = (transport.metadata() for transport in self._transports)
        return _answers(await asyncio.gather(*calls, return_exceptions=True))[0]

    async def close(self) -> None:
        await asyncio.gather(*(transport.close() for transport in self._transports))


def _try_each(calls: Sequence[Callable[[], T]]) -> list[T]:
    results: list[T | BaseException] = []
    for call in calls:
        try:
            results.append(call())
        except OcrvlError as error:
            results.append(error)
    return _answers(results)


def _answers(results: Sequence[T | BaseException]) -> list[T]:
    """The answers among the results. Raises the first error where there is none."""
    answers = [result for result in results if not isinstance(result, BaseException)]
    if not answers:
        raise next(result for result in results if isinstance(result, BaseException))
    return answers


def _sum_cancelled(answers: Sequence[dict[Tensor, Array]]) -> dict[Tensor, Array]:
    return {Tensor.CANCELLED: np.array([sum(int(answer[Tensor.CANCELLED].item()) for answer in answers)], np.int32)}
