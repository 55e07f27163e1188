"""What comes of settings over several days, as figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from perf.autoscaling.defaults import Variant
from perf.autoscaling.load import Day
from perf.autoscaling.simulation import Result, simulate
from perf.figures.data import Column, Figures, Table, Value

NAME: Final = "autoscaling"
"""Of the file of figures."""

PEAK_RATE: Final = 300.0
"""Receipts a second at the busiest time of the day: five H100 at their limit by what was measured, eight at ease."""

SEEDS: Final = (1, 2, 3)
"""Days that differ in their bursts and in who comes when."""

_TABLE: Final = Table(
    rows=("group", "variant"),
    group="group",
    columns=(
        Column(title="", value="variant"),
        *(Column(title=f"p{percent} s", value=f"p{percent}_seconds", format=".1f") for percent in (50, 95, 99)),
        Column(title="refused", value="refused_share", format=".3%"),
        Column(title="GPU-hours a day", value="gpu_hours", format=".1f"),
        Column(title="replicas at most", value="most_replicas"),
    ),
)


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

    def record(self) -> dict[str, Value]:
        """As the file of figures has it."""
        return {
            "group": self.variant.group,
            "variant": self.variant.name,
            **{f"p{percent}_seconds": seconds for percent, seconds in self.wait.items()},
            "refused_share": round(self.refused_share, 6),
            "gpu_hours": round(self.gpu_hours, 4),
            "most_replicas": self.most_replicas,
        }


def simulate_days(variant: Variant, peak: float = PEAK_RATE) -> Row:
    """What becomes of a variant on its days, with a peak of so many images a second."""
    days = [simulate(variant.settings, variant.conditions, Day(peak, seed=seed)) for seed in SEEDS]
    return Row.of(variant, days)


def to_figures(rows: Sequence[Row]) -> Figures:
    """The file of figures."""
    return Figures(
        question="What do settings of the autoscaler do to a day?",
        date=None,
        machine=None,
        versions={},
        command="python -m perf autoscaling --save",
        rounds=None,
        conditions=(
            f"A simulation of {len(SEEDS)} days with a peak of {PEAK_RATE:.0f} receipts a second: waits of the worst "
            "day in steps of half a second, refusals over all days, GPU-hours of a mean day."
        ),
        measurements=tuple(row.record() for row in rows),
        tables={"settings": _TABLE},
    )
