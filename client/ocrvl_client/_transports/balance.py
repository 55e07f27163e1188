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
from ocrvl_client._messages import Array, Request, ServerMetadata
from ocrvl_client._transports.protocol import AsyncTransport, Transport

T = TypeVar("T")

_AVOID_SECONDS: Final = 2.0
"""How long a server that could not take a request is passed over while there are others."""


class Balance:
    """Whose turn it is among `count` servers. Safe for threads.

    >>> balance = Balance(2)
    >>> with balance.turn() as first, balance.turn() as second:
    ...     print(first, second)
    0 1
    """

    def __init__(self, count: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._lock = threading.Lock()
        self._clock = clock
        self._in_flight = [0] * count
        self._avoid_until = [0.0] * count

    @contextmanager
    def turn(self) -> Iterator[int]:
        """The number of the server that takes a request, which is under way within the block."""
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
        self._balance = Balance(len(transports))

    def infer(self, request: Request, timeout: float) -> dict[Tensor, Array]:
        if request.model is Model.CANCEL:
            return _sum_cancels(_try_each([partial(one.infer, request, timeout) for one in self._transports]))
        with self._balance.turn() as index:
            return self._transports[index].infer(request, timeout)

    def stream(self, request: Request, timeout: float) -> Generator[dict[Tensor, Array], None, None]:
        with self._balance.turn() as index:
            yield from self._transports[index].stream(request, timeout)

    def register(self, name: str, key: str, size: int) -> None:
        for transport in self._transports:
            transport.register(name, key, size)

    def unregister(self, name: str, timeout: float) -> None:
        for transport in self._transports:
            transport.unregister(name, timeout)

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
    """The same for asyncio."""

    def __init__(self, transports: Sequence[AsyncTransport]) -> None:
        self._transports = transports
        self._balance = Balance(len(transports))

    async def infer(self, request: Request, timeout: float) -> dict[Tensor, Array]:
        if request.model is Model.CANCEL:
            asked = (one.infer(request, timeout) for one in self._transports)
            return _sum_cancels(_answers(await asyncio.gather(*asked, return_exceptions=True)))
        with self._balance.turn() as index:
            return await self._transports[index].infer(request, timeout)

    async def stream(self, request: Request, timeout: float) -> AsyncGenerator[dict[Tensor, Array], None]:
        with self._balance.turn() as index:
            async with aclosing(self._transports[index].stream(request, timeout)) as answers:
                async for answer in answers:
                    yield answer

    async def register(self, name: str, key: str, size: int) -> None:
        await asyncio.gather(*(transport.register(name, key, size) for transport in self._transports))

    async def unregister(self, name: str, timeout: float) -> None:
        await asyncio.gather(*(transport.unregister(name, timeout) for transport in self._transports))

    async def is_live(self) -> bool:
        return any(await asyncio.gather(*(transport.is_live() for transport in self._transports)))

    async def is_ready(self) -> bool:
        return any(await asyncio.gather(*(transport.is_ready() for transport in self._transports)))

    async def metadata(self) -> ServerMetadata:
        told = await asyncio.gather(*(transport.metadata() for transport in self._transports), return_exceptions=True)
        return _answers(told)[0]

    async def close(self) -> None:
        await asyncio.gather(*(transport.close() for transport in self._transports))


def _try_each(questions: Sequence[Callable[[], T]]) -> list[T]:
    results: list[T | BaseException] = []
    for question in questions:
        try:
            results.append(question())
        except OcrvlError as error:
            results.append(error)
    return _answers(results)


def _answers(results: Sequence[T | BaseException]) -> list[T]:
    """The answers among the results. Raises the first error where there is none."""
    answers = [result for result in results if not isinstance(result, BaseException)]
    if not answers:
        raise next(result for result in results if isinstance(result, BaseException))
    return answers


def _sum_cancels(answers: Sequence[dict[Tensor, Array]]) -> dict[Tensor, Array]:
    return {Tensor.CANCELLED: np.array([sum(int(answer[Tensor.CANCELLED].item()) for answer in answers)], np.int32)}
