"""Rate limits: a token bucket for each client, which holds what a minute allows."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

_MAX_BUCKETS: Final = 10_000
"""Buckets that are remembered; a client whose bucket was forgotten begins with a full one."""


class RateLimiter:
    """At most `per_minute` requests of each client in a minute, refilled evenly; 0 is no limit.

    >>> now = [0.0]
    >>> limiter = RateLimiter(2, clock=lambda: now[0])
    >>> [limiter.acquire("a"), limiter.acquire("a"), limiter.acquire("a"), limiter.acquire("b")]
    [0.0, 0.0, 30.0, 0.0]
    >>> now[0] = 30.0
    >>> limiter.acquire("a")
    0.0
    """

    def __init__(self, per_minute: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._size = per_minute
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def acquire(self, client: str) -> float:
        """Take one token: 0 where there is one, else the seconds until there is."""
        if not self._size:
            return 0.0
        now = self._clock()
        refill = self._size / 60
        tokens, seen = self._buckets.pop(client, (float(self._size), now))
        tokens = min(float(self._size), tokens + (now - seen) * refill)
        allowed = tokens >= 1
        self._buckets[client] = (tokens - allowed, now)
        if len(self._buckets) > _MAX_BUCKETS:
            self._buckets.popitem(last=False)
        return 0.0 if allowed else (1 - tokens) / refill
