"""Pairs of measurements, one after the other, and what they say about a ratio."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Ratio:
    """The median of the pairs' ratios and an interval that holds the true median with at least 95 % confidence."""

    median: float
    low: float
    high: float
    pairs: int

    @classmethod
    def of(cls, ratios: Sequence[float]) -> Ratio:
        """From the ratios of at least six pairs; fewer cannot give such an interval (`ValueError`).

        The interval lies between two order statistics: the true median is below the k-th smallest of n with the
        probability that a fair coin shows heads fewer than k times in n, whatever the distribution.

        >>> Ratio.of([0.90, 0.95, 0.97, 0.98, 1.0, 1.01, 1.02, 1.03, 1.05, 1.2])
        Ratio(median=1.005, low=0.95, high=1.05, pairs=10)
        """
        ordered, count = sorted(ratios), len(ratios)
        outside, rank = 0.0, 0
        while (outside := outside + math.comb(count, rank) / 2**count) <= 0.025:
            rank += 1
        if rank == 0:
            raise ValueError(f"expected at least six pairs, found {count}")
        return cls(statistics.median(ordered), ordered[rank - 1], ordered[count - rank], count)


def measure_pairs(first: Callable[[], float], second: Callable[[], float], pairs: int) -> list[tuple[float, float]]:
    """Measure both in turn, so many times; every other pair begins with the second: what drifts hits both alike."""
    measured = []
    for number in range(pairs):
        if number % 2:
            later = second()
            measured.append((first(), later))
        else:
            measured.append((first(), second()))
    return measured
