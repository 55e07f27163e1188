"""How often a caller may come: a token bucket for each, which holds what a minute allows."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

_CALLERS: Final = 10_000
"""Buckets that are remembered; a caller whose bucket was forgotten begins with a full one."""


class RateLimit:
    """At most `per_minute` requests of each caller in a minute, refilled evenly; 0 is no limit.

    >>> now = [0.0]
    >>> limit = RateLimit(2, clock=lambda: now[0])
    >>> [limit.wait_of("a"), limit.wait_of("a"), limit.wait_of("a"), limit.wait_of("b")]
    [0.0, 0.0, 30.0, 0.0]
    >>> now[0] = 30.0
    >>> limit.wait_of("a")
    0.0
    """

    def __init__(self, per_minute: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._size = per_minute
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait_of(self, caller: str) -> float:
        """Take one: 0 where it is allowed, else the seconds until one is."""
        if not self._size:
            return 0.0
        now = self._clock()
        filling = self._size / 60
        tokens, seen = self._buckets.pop(caller, (float(self._size), now))
        tokens = min(float(self._size), tokens + (now - seen) * filling)
        allowed = tokens >= 1
        self._buckets[caller] = (tokens - allowed, now)
        if len(self._buckets) > _CALLERS:
            self._buckets.popitem(last=False)
        return 0.0 if allowed else (1 - tokens) / filling
