"""The worker's Prometheus metrics, in a registry of their own."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900, 3600)


class Outcome(StrEnum):
    """What became of a message."""

    DONE = "done"
    REPEATED = "repeated"
    RETRIED = "retried"
    REFUSED = "refused"
    IGNORED = "ignored"
    RELEASED = "released"


class Stage(StrEnum):
    """What a receipt goes through."""

    FIND = "find"
    FETCH = "fetch"
    READ = "read"
    WRITE = "write"
    PUBLISH = "publish"


class WorkerMetrics:
    """The series of one worker."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._lagging: dict[str, set[tuple[str, int]]] = {}
        self.lag = Gauge(
            "ocrvl_pipeline_lag",
            "Messages of a partition of this worker that are not committed.",
            ["topic", "partition"],
            registry=self.registry,
        )
        self.in_flight = Gauge("ocrvl_pipeline_in_flight", "Receipts in flight.", registry=self.registry)
        self.taken = Gauge(
            "ocrvl_pipeline_taken", "Receipts that are taken and not committed: the window.", registry=self.registry
        )
        self.waiting = Gauge(
            "ocrvl_pipeline_waiting",
            "Receipts in flight that wait for a service that is full, away or refuses all, by stage.",
            ["stage"],
            registry=self.registry,
        )
        self.outcomes = Counter(
            "ocrvl_pipeline_messages",
            "Messages that were worked on, by outcome and, of those that failed, the error's code.",
            ["outcome", "code"],
            registry=self.registry,
        )
        self.stage_seconds = Histogram(
            "ocrvl_pipeline_stage_seconds",
            "Seconds of each stage that succeeded, without waits before it.",
            ["stage"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.seconds = Histogram(
            "ocrvl_pipeline_seconds", "From upload to result.", buckets=_SECONDS, registry=self.registry
        )
        for stage in Stage:
            self.waiting.labels(stage)
            self.stage_seconds.labels(stage)
        for outcome in (Outcome.DONE, Outcome.REPEATED):
            self.outcomes.labels(outcome, "")

    def set_lag(self, group: str, lag: Mapping[tuple[str, int], int]) -> None:
        """Replace the lag of what a consumer of this group has: partitions of other workers are left to them."""
        for topic, number in self._lagging.get(group, set()) - lag.keys():
            self.lag.remove(topic, number)
        self._lagging[group] = set(lag)
        for (topic, number), messages in lag.items():
            self.lag.labels(topic, number).set(messages)
