"""One replica: a GPU with its engine and the queue in front of it."""

from __future__ import annotations

import bisect
import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field


class Curve:
    """Images a second by how many are in flight, from a few measured points.

    Between points, straight on logarithmic axes; above the last, level: what was not measured is not promised.
    """

    def __init__(self, rate_at: Mapping[int, float]) -> None:
        self.in_flight = tuple(sorted(rate_at))
        self.rates = tuple(rate_at[count] for count in self.in_flight)

    def rate(self, in_flight: float) -> float:
        """Images a second.

        >>> curve = Curve({1: 2.0, 4: 4.0})
        >>> [round(curve.rate(count), 3) for count in (0, 0.5, 2, 9)]
        [0.0, 1.0, 2.828, 4.0]
        """
        if in_flight >= self.in_flight[-1]:
            return self.rates[-1]
        if in_flight <= self.in_flight[0]:
            return self.rates[0] * in_flight / self.in_flight[0]
        right = bisect.bisect_right(self.in_flight, in_flight)
        x = [math.log(count) for count in self.in_flight[right - 1 : right + 1]]
        y = [math.log(rate) for rate in self.rates[right - 1 : right + 1]]
        share = (math.log(in_flight) - x[0]) / (x[1] - x[0])
        return math.exp(y[0] + share * (y[1] - y[0]))

    def table(self, limit: int) -> list[float]:
        """The rate for 0, 1, 2 … `limit` in flight."""
        return [self.rate(count) for count in range(limit + 1)]


@dataclass(frozen=True)
class Limits:
    """What a replica takes: images at a time in its engine, requests in its queue, seconds that one waits there."""

    in_flight: int
    queue: int
    queue_seconds: float


@dataclass
class Taken:
    """What became of the requests of a simulation; `waits` counts them by the seconds that they waited."""

    waits: dict[float, int] = field(default_factory=dict)
    refused: int = 0
    expired: int = 0


class Replica:
    """Requests in the order in which they came; `rates` is a curve's table up to the limit in flight.

    The engine's images share it, so that it finishes `rate` of them a second, whichever.
    """

    def __init__(self, rates: list[float], limits: Limits, taken: Taken) -> None:
        self._rates = rates
        self._limits = limits
        self._taken = taken
        self._queue: deque[tuple[float, int]] = deque()
        self._done = 0.0
        self.waiting = 0
        self.in_flight = 0

    @property
    def is_empty(self) -> bool:
        """Whether nothing is left to do."""
        return not self.in_flight and not self.waiting

    def step(self, now: float, arrived: int, seconds: float) -> None:
        """Take in what arrived, refuse what does not fit, and work for `seconds`."""
        if arrived:
            self._queue.append((now, arrived))
            self.waiting += arrived
        if self._queue:
            self._let_in(now)
            self._refuse(now)
        if self.in_flight:
            self._done += self._rates[self.in_flight] * seconds
            finished = min(int(self._done), self.in_flight)
            self.in_flight -= finished
            # an engine does not work ahead
            self._done = self._done - finished if self.in_flight else 0.0

    def _let_in(self, now: float) -> None:
        waits = self._taken.waits
        while self._queue and self.in_flight < self._limits.in_flight:
            came, count = self._queue.popleft()
            entering = min(count, self._limits.in_flight - self.in_flight)
            waits[now - came] = waits.get(now - came, 0) + entering
            self.in_flight += entering
            self.waiting -= entering
            if entering < count:
                self._queue.appendleft((came, count - entering))

    def _refuse(self, now: float) -> None:
        """The last ones where the queue is full, the first ones where they have waited too long."""
        while self.waiting > self._limits.queue:
            came, count = self._queue.pop()
            refused = min(count, self.waiting - self._limits.queue)
            self._taken.refused += refused
            self.waiting -= refused
            if refused < count:
                self._queue.append((came, count - refused))
        while self._queue and now - self._queue[0][0] > self._limits.queue_seconds:
            _, count = self._queue.popleft()
            self._taken.expired += count
            self.waiting -= count
