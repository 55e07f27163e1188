"""Carries the metrics of this process over to Triton, which shows those of all processes at one address."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, Protocol

from prometheus_client import CollectorRegistry, Metric

from ocrvl.metrics.allow import is_published

Labels = dict[str, str]


class Kind(Enum):
    """Kinds of metrics in Triton, by the names of `pb_utils.MetricFamily`."""

    COUNTER = auto()
    GAUGE = auto()


class Series(Protocol):
    """One series in Triton (`pb_utils.Metric`). Each call waits for the server, some tens of microseconds."""

    def increment(self, value: float, /) -> None:
        """Add to a counter; raises for a negative value."""

    def set(self, value: float, /) -> None:
        """Set a gauge."""


class Family(Protocol):
    """The series of one name in Triton (`pb_utils.MetricFamily`)."""

    def Metric(self, *, labels: Labels) -> Series:  # noqa: N802 - Triton's name
        """The series with these labels, at 0 where it is new."""


class FamilyFactory(Protocol):
    """Makes a family in Triton; raises where Triton was built without metrics."""

    def __call__(self, name: str, description: str, kind: Kind) -> Family:
        """Make the family of this name."""


# Triton's own histograms take single observations, and what is known here are the counts. Counters by the names that
# a histogram's parts have are the same to `histogram_quantile` and to every dashboard.
_PARTS: Final[Mapping[str, tuple[Kind, tuple[str, ...]]]] = {
    "gauge": (Kind.GAUGE, ("",)),
    "counter": (Kind.COUNTER, ("_total",)),
    "histogram": (Kind.COUNTER, ("_bucket", "_sum", "_count")),
}
"""What is published of a metric of each type; `_created` is not, nor are other types."""


@dataclass
class _Carried:
    """A series in Triton and the value of its source when it was last carried over.

    Triton keeps the series of a process that has ended, and hands them to the next of its name. So a counter goes on
    from there, and a gauge is set at first whatever its value: nan equals none.
    """

    series: Series
    last: float


class Mirror:
    """Publishes what `registries` hold, in their order, of the families that `allow` lets through.

    `labels` are put on every series. The engine's own label `engine` numbers the engines of one process: it is left
    out where it is 0, since `labels` tell processes apart. Not thread-safe: one thread publishes.

    Where Triton was built without metrics, `log` says so once and no series is published.
    """

    def __init__(
        self,
        registries: Sequence[CollectorRegistry],
        family_factory: FamilyFactory,
        labels: Mapping[str, str],
        allow: Callable[[str], bool] = is_published,
        *,
        log: Callable[[str], None],
    ) -> None:
        self._registries = registries
        self._factory = family_factory
        self._labels = labels
        self._allow = allow
        self._log = log
        self._families: dict[str, Family | None] = {}
        self._carried: dict[tuple[str, ...], _Carried | None] = {}
        self._is_off = False

    def publish(self) -> None:
        """Carry over what has changed since the last call. Raises what Triton raises; the next call goes on."""
        for registry in self._registries:
            for metric in registry.collect():
                if self._is_off:
                    return
                if metric.type in _PARTS and self._allow(metric.name):
                    self._publish_metric(metric)

    def close(self) -> None:
        """Stop publishing. What was published stays: a later process of the same name goes on from there."""
        self._is_off = True

    def _publish_metric(self, metric: Metric) -> None:
        kind, suffixes = _PARTS[metric.type]
        names = {metric.name + suffix for suffix in suffixes}
        values = [
            (carried, sample.value)
            for sample in metric.samples
            if sample.name in names and (carried := self._find(metric, sample.name, sample.labels, kind))
        ]
        if kind is Kind.GAUGE:
            _set_gauges(values)
        else:
            _increment_counters(values)

    def _find(self, metric: Metric, name: str, labels: Labels, kind: Kind) -> _Carried | None:
        key = (name, *labels.values())
        if key not in self._carried:
            family = self._family(name, metric.documentation, kind)
            first = 0.0 if kind is Kind.COUNTER else math.nan
            self._carried[key] = _Carried(family.Metric(labels=self._relabel(labels)), first) if family else None
        return self._carried[key]

    def _family(self, name: str, description: str, kind: Kind) -> Family | None:
        """The family in Triton; None for one that Triton refused, which is not tried again."""
        if self._is_off:
            return None
        if name not in self._families:
            try:
                self._families[name] = self._factory(name, description, kind)
            except Exception as error:
                self._is_off = not self._families
                left_out = "Triton takes no metrics of its models, so none are" if self._is_off else f"{name} is not"
                self._log(f"{left_out} published: {error}")
                self._families[name] = None
        return self._families[name]

    def _relabel(self, labels: Labels) -> Labels:
        kept = {name: value for name, value in labels.items() if (name, value) != ("engine", "0")}
        return {**kept, **self._labels}


def _set_gauges(values: Sequence[tuple[_Carried, float]]) -> None:
    for carried, value in values:
        if value != carried.last:
            carried.series.set(value)
            carried.last = value


def _increment_counters(values: Sequence[tuple[_Carried, float]]) -> None:
    # An engine that restarts counts from 0 again, and all of a metric's series with it. They are judged together: one
    # that has overtaken its old value would seem to go on.
    if any(value < carried.last for carried, value in values):
        for carried, _ in values:
            carried.last = 0.0
    for carried, value in values:
        if value > carried.last:
            carried.series.increment(value - carried.last)
            carried.last = value
