"""Retries: reading changes nothing on the server, so a request can be sent twice."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from ocrvl_client._errors import RequestTimeout, ServerUnavailable

T = TypeVar("T")


@dataclass(frozen=True)
class Retry:
    """How often and when a request is sent again that found no server, or one that was full or going down.

    At most `attempts` in all. The pause before the second is about `initial` seconds and doubles from then on, up to
    `maximum`; each is shortened by up to a half at random, so that many callers do not come back at once. The
    client's timeout bounds all attempts and pauses together, and a request that ran into it is not sent again.

    The default rides out a full queue. A server that is starting again takes tens of seconds: `Retry(attempts=12)`
    waits for about a minute.

    >>> Retry(attempts=0)
    Traceback (most recent call last):
    ValueError: attempts: 0, expected at least 1
    """

    attempts: int = 3
    initial: float = 0.5
    maximum: float = 10.0

    def __post_init__(self) -> None:
        if self.attempts < 1:
            raise ValueError(f"attempts: {self.attempts}, expected at least 1")
        if not 0 <= self.initial <= self.maximum:
            raise ValueError(f"initial: {self.initial:g}, expected 0 to maximum ({self.maximum:g})")

    def run(
        self,
        attempt: Callable[[float], T],
        timeout: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> T:
        """What `attempt` returns; it is called with the seconds that are left of `timeout`.

        Raises what it raises, of the last attempt. `jitter` gives numbers from 0 to 1.
        """
        attempts = _Attempts(self, clock() + timeout, clock, jitter)
        while True:
            try:
                return attempt(attempts.seconds_left())
            except ServerUnavailable as error:
                sleep(attempts.pause_after(error))

    async def run_async(self, attempt: Callable[[float], Awaitable[T]], timeout: float) -> T:
        """As `run`, for coroutines."""
        attempts = _Attempts(self, time.monotonic() + timeout, time.monotonic, random.random)
        while True:
            try:
                return await attempt(attempts.seconds_left())
            except ServerUnavailable as error:
                await asyncio.sleep(attempts.pause_after(error))

    def pause(self, failures: int, jitter: float) -> float:
        """Seconds to wait after so many failures."""
        doublings = min(failures - 1, 60)  # beyond any maximum, and far from what a float cannot hold
        return min(self.maximum, self.initial * 2.0**doublings) * (1 - jitter / 2)


@dataclass
class _Attempts:
    """The attempts at one request, and the pauses between them, for threads and asyncio alike."""

    retry: Retry
    deadline: float
    clock: Callable[[], float]
    jitter: Callable[[], float]
    failures: int = 0

    def seconds_left(self) -> float:
        return self.deadline - self.clock()

    def pause_after(self, error: ServerUnavailable) -> float:
        """Seconds until the next attempt. Raises the error where none is due."""
        self.failures += 1
        if isinstance(error, RequestTimeout) or self.failures >= self.retry.attempts:
            raise error
        pause = self.retry.pause(self.failures, self.jitter())
        if pause >= self.seconds_left():
            raise error
        return pause
