"""The rules of Kubernetes' HorizontalPodAutoscaler v2, as its controller applies them; KEDA works through it.

Follows `pkg/controller/podautoscaler` of Kubernetes 1.30 (`replica_calculator.go`, `horizontal.go`), for metrics that
are a sum over all replicas with a target for each (`External`, `AverageValue`: what KEDA's Prometheus trigger makes).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

TOLERANCE: Final = 0.1
"""`--horizontal-pod-autoscaler-tolerance`: nothing changes while a metric is this near to its target."""

SYNC_SECONDS: Final = 15.0
"""`--horizontal-pod-autoscaler-sync-period`."""


class PolicyType(StrEnum):
    """What the value of a policy counts."""

    PODS = "Pods"
    PERCENT = "Percent"


@dataclass(frozen=True)
class Policy:
    """At most so many pods, or per cent of them, in any `period_seconds`."""

    type: PolicyType
    value: int
    period_seconds: int


@dataclass(frozen=True)
class Rules:
    """One direction. Of several policies the one that allows most counts (`selectPolicy: Max`)."""

    stabilization_seconds: int
    policies: tuple[Policy, ...]


UP_BY_DEFAULT: Final = Rules(0, (Policy(PolicyType.PODS, 4, 15), Policy(PolicyType.PERCENT, 100, 15)))
DOWN_BY_DEFAULT: Final = Rules(300, (Policy(PolicyType.PERCENT, 100, 15),))


@dataclass(frozen=True)
class Bounds:
    """How many replicas there may be."""

    min_replicas: int
    max_replicas: int


def propose(total: float, target: float, replicas: int) -> int:
    """Replicas that a metric proposes, where `total` is its sum over all and `target` what one should have.

    `replicas` are those that exist, ready or not: an external metric cannot tell, so one that is starting counts.

    >>> propose(210, 64, 3), propose(210, 64, 6), propose(650, 64, 3)
    (3, 4, 11)
    """
    if abs(total / (target * replicas) - 1) <= TOLERANCE:
        return replicas
    return math.ceil(total / target)


@dataclass
class Autoscaler:
    """Remembers what it recommended and did, as the controller does."""

    bounds: Bounds
    up: Rules = UP_BY_DEFAULT
    down: Rules = DOWN_BY_DEFAULT
    _recommended: list[tuple[float, int]] = field(default_factory=list)
    _added: list[tuple[float, int]] = field(default_factory=list)
    _removed: list[tuple[float, int]] = field(default_factory=list)

    def decide(self, now: float, replicas: int, proposals: Iterable[int]) -> int:
        """The replicas that there shall be, `now` in seconds; the largest proposal counts."""
        bounds = self.bounds
        desired = self._stabilize(now, replicas, max(proposals))
        desired = min(max(desired, bounds.min_replicas), bounds.max_replicas)
        if desired > replicas:
            desired = max(replicas, min(desired, self._most(now, replicas)))
            self._added.append((now, desired - replicas))
        elif desired < replicas:
            desired = min(replicas, max(desired, self._fewest(now, replicas)))
            self._removed.append((now, replicas - desired))
        return desired

    def _stabilize(self, now: float, replicas: int, proposal: int) -> int:
        """Up no further than the lowest, down no further than the highest proposal of the window."""
        longest = max(self.up.stabilization_seconds, self.down.stabilization_seconds)
        self._recommended = [(at, count) for at, count in self._recommended if at > now - longest]
        lowest = min([proposal, *self._within(now, self.up.stabilization_seconds)])
        highest = max([proposal, *self._within(now, self.down.stabilization_seconds)])
        self._recommended.append((now, proposal))
        return min(max(replicas, lowest), highest)

    def _within(self, now: float, seconds: int) -> list[int]:
        return [count for at, count in self._recommended if at > now - seconds]

    def _most(self, now: float, replicas: int) -> int:
        return max(self._allowed(now, replicas, policy, 1) for policy in self.up.policies)

    def _fewest(self, now: float, replicas: int) -> int:
        return min(self._allowed(now, replicas, policy, -1) for policy in self.down.policies)

    def _allowed(self, now: float, replicas: int, policy: Policy, sign: int) -> int:
        """What a policy allows, from what there was when its period began."""
        before = replicas - _sum(self._added, now - policy.period_seconds)
        before += _sum(self._removed, now - policy.period_seconds)
        if policy.type is PolicyType.PODS:
            return before + sign * policy.value
        exact = before * (1 + sign * policy.value / 100)
        return math.ceil(exact) if sign > 0 else math.floor(exact)


def _sum(events: list[tuple[float, int]], since: float) -> int:
    return sum(count for at, count in events if at > since)
