"""A day on replicas behind an autoscaler, in steps of half a second."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

import numpy as np

from perf.autoscaling.hpa import DOWN_BY_DEFAULT, SYNC_SECONDS, UP_BY_DEFAULT, Autoscaler, Bounds, Rules, propose
from perf.autoscaling.load import Day
from perf.autoscaling.replica import Curve, Limits, Replica, Taken

STEP_SECONDS: Final = 0.5
SAMPLE_SECONDS: Final = 60


class Signal(StrEnum):
    """What is summed over the replicas: requests in queues, images in engines, or both."""

    WAITING = "waiting"
    IN_FLIGHT = "in_flight"
    BOTH = "waiting_and_in_flight"


@dataclass(frozen=True)
class Trigger:
    """One metric of the autoscaler, and how much of it each replica should have."""

    signal: Signal
    target: float


@dataclass(frozen=True)
class Settings:
    """What an operator chooses. Without triggers there are `max_replicas` all day."""

    triggers: tuple[Trigger, ...]
    bounds: Bounds
    queue: int
    up: Rules = UP_BY_DEFAULT
    down: Rules = DOWN_BY_DEFAULT


@dataclass(frozen=True)
class Conditions:
    """What an operator finds: replicas as fast as `curve`, ready `start_seconds` after the autoscaler has added them.

    Metrics are as old as the last scrape, each `scrape_seconds`, when the autoscaler looks.
    """

    curve: Curve
    start_seconds: float
    in_flight_limit: int = 144
    queue_seconds: float = 60.0
    scrape_seconds: float = 15.0


@dataclass(frozen=True)
class Result:
    """What a day was like. `wait` is a request's time in the queue; `refused` includes those that waited too long.

    `replicas` and `waiting` are sampled once a minute.
    """

    requests: int
    wait: dict[int, float]
    refused: int
    gpu_hours: float
    replicas: list[int]
    waiting: list[int]

    @property
    def refused_share(self) -> float:
        """Of all requests."""
        return self.refused / self.requests


@dataclass
class _Pool:
    """Replicas that start, serve and drain."""

    conditions: Conditions
    limits: Limits
    rates: list[float]
    taken: Taken
    starting: list[float] = field(default_factory=list)
    serving: list[Replica] = field(default_factory=list)
    draining: list[Replica] = field(default_factory=list)

    @property
    def desired(self) -> int:
        """Replicas as the autoscaler counts them: those that are being ended are no longer among them."""
        return len(self.starting) + len(self.serving)

    @property
    def paid(self) -> int:
        """Replicas that hold a GPU."""
        return self.desired + len(self.draining)

    def begin(self, count: int) -> None:
        """Replicas that are ready at once, as at the beginning of a day."""
        self.serving += [Replica(self.rates, self.limits, self.taken) for _ in range(count)]

    def scale(self, now: float, count: int) -> None:
        """Start what is missing; end what is too many, those that are not ready first, then the youngest."""
        self.starting += [now + self.conditions.start_seconds] * (count - self.desired)
        while self.desired > count:
            if self.starting:
                self.starting.pop()
            else:
                self.draining.append(self.serving.pop())

    def step(self, now: float, arrived: Iterable[int]) -> None:
        """Half a second of work."""
        while self.starting and self.starting[0] <= now:
            self.starting.pop(0)
            self.begin(1)
        for replica, count in zip(self.serving, arrived, strict=True):
            replica.step(now, count, STEP_SECONDS)
        for replica in self.draining:
            replica.step(now, 0, STEP_SECONDS)
        self.draining = [replica for replica in self.draining if not replica.is_empty]

    def measure(self) -> dict[Signal, int]:
        """What the metrics would say now."""
        waiting = sum(replica.waiting for replica in self.serving)
        in_flight = sum(replica.in_flight for replica in self.serving)
        return {Signal.WAITING: waiting, Signal.IN_FLIGHT: in_flight, Signal.BOTH: waiting + in_flight}


def simulate(settings: Settings, conditions: Conditions, day: Day) -> Result:
    """The day with these settings; the same numbers whenever it is called with the same arguments."""
    taken = Taken()
    limits = Limits(conditions.in_flight_limit, settings.queue, conditions.queue_seconds)
    pool = _Pool(conditions, limits, conditions.curve.table(conditions.in_flight_limit), taken)
    autoscaler = Autoscaler(settings.bounds, settings.up, settings.down)
    pool.begin(settings.bounds.min_replicas if settings.triggers else settings.bounds.max_replicas)
    arrivals = day.arrivals(STEP_SECONDS)
    # callers go from replica to replica in turn, each by itself: together that is at random
    spread = np.random.default_rng([day.seed, 2])
    scraped = pool.measure()
    paid = 0
    replicas: list[int] = []
    waiting: list[int] = []
    for number, arrived in enumerate(arrivals):
        now = number * STEP_SECONDS
        if now % conditions.scrape_seconds == 0:
            scraped = pool.measure()
        # half a period after the scrape, which is where a look finds the metrics on the whole
        if settings.triggers and (now - conditions.scrape_seconds / 2) % SYNC_SECONDS == 0:
            desired = pool.desired
            proposals = [propose(scraped[one.signal], one.target, desired) for one in settings.triggers]
            pool.scale(now, autoscaler.decide(now, desired, proposals))
        # those that become ready in this step serve in it
        share = len(pool.serving) + sum(ready <= now for ready in pool.starting)
        pool.step(now, spread.multinomial(arrived, [1 / share] * share).tolist())
        paid += pool.paid
        if now % SAMPLE_SECONDS == 0:
            replicas.append(pool.paid)
            waiting.append(pool.measure()[Signal.WAITING])
    return Result(
        requests=int(arrivals.sum()),
        wait={percent: percentile(taken.waits, percent) for percent in (50, 95, 99)},
        refused=taken.refused + taken.expired,
        gpu_hours=paid * STEP_SECONDS / 3600,
        replicas=replicas,
        waiting=waiting,
    )


def percentile(counts: dict[float, int], percent: float) -> float:
    """The smallest value that at least so many per cent do not exceed.

    >>> percentile({0.0: 98, 1.5: 1, 3.0: 1}, 99)
    1.5
    """
    desired = math.ceil(sum(counts.values()) * percent / 100)
    seen = 0
    for value in sorted(counts):
        seen += counts[value]
        if seen >= desired:
            return value
    raise ValueError("nothing was served")
