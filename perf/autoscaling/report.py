"""A table of what came of settings, over several days."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from perf.autoscaling.defaults import Variant
from perf.autoscaling.load import Day
from perf.autoscaling.simulation import Result, simulate
from tools.docs import markdown_table

PEAK_RATE: Final = 300.0
"""Receipts a second at the busiest time of the day: five H100 at their limit by what was measured, eight at ease."""

SEEDS: Final = (1, 2, 3)
"""Days that differ in their bursts and in who comes when."""

HEAD: Final = ("", "p50 s", "p95 s", "p99 s", "refused", "GPU-hours a day", "replicas at most")


@dataclass(frozen=True)
class Row:
    """One variant: the worst day's waits, refusals over all days, GPU-hours of a mean day."""

    variant: Variant
    wait: dict[int, float]
    refused_share: float
    gpu_hours: float
    most_replicas: int

    @classmethod
    def of(cls, variant: Variant, days: Sequence[Result]) -> Row:
        """What the days have in common."""
        return cls(
            variant,
            wait={percent: max(day.wait[percent] for day in days) for percent in days[0].wait},
            refused_share=sum(day.refused for day in days) / sum(day.requests for day in days),
            gpu_hours=sum(day.gpu_hours for day in days) / len(days),
            most_replicas=max(max(day.replicas) for day in days),
        )

    def cells(self) -> list[str]:
        """As `HEAD` names them."""
        waits = [f"{seconds:.1f}" for seconds in self.wait.values()]
        return [
            self.variant.name,
            *waits,
            f"{self.refused_share:.3%}",
            f"{self.gpu_hours:.1f}",
            str(self.most_replicas),
        ]


def measure(variant: Variant, peak: float = PEAK_RATE) -> Row:
    """Simulate its days, with a peak of so many images a second."""
    days = [simulate(variant.settings, variant.conditions, Day(peak, seed=seed)) for seed in SEEDS]
    return Row.of(variant, days)


def format_rows(rows: Sequence[Row]) -> str:
    """A Markdown table, with a line above each group."""
    lines: list[list[str]] = []
    for group, members in groupby(rows, lambda row: row.variant.group):
        if group:
            lines.append([f"**{group}**", *[""] * (len(HEAD) - 1)])
        lines += [row.cells() for row in members]
    return markdown_table(HEAD, lines)
