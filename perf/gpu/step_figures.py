"""What `perf.gpu.steps` has measured, as a file of figures."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final

from perf.figures.data import Column, Figures, Table, Value
from perf.figures.new import new_figures
from perf.gpu.load import Load

_STEPS: Final = Table(
    rows=("workload", "in_flight", "steps"),
    columns=(
        Column(title="texts", value="workload"),
        Column(title="in flight", value="in_flight"),
        Column(title="steps", value="steps"),
        Column(title="tokens a step", value="tokens_a_step", format=".1f"),
        Column(title="a step", value="step_ms", format=".2f", unit=" ms"),
        Column(title="median", value="median_ms", format=".2f", unit=" ms"),
        Column(title="GPU", value="gpu_ms", format=".2f", unit=" ms"),
        Column(title="kernels", value="kernels", format=".0f"),
        Column(title="GPU busy", value="busy", format=".0%"),
        Column(title="images a second", value="images_per_second", format=".1f"),
        Column(title="the GPU allows", value="gpu_images_per_second", format=".1f"),
    ),
)
_KINDS: Final = Table(
    rows=("workload", "in_flight", "kernel"),
    columns=(
        Column(title="texts", value="workload"),
        Column(title="in flight", value="in_flight"),
        Column(title="kernels", value="kernel"),
        Column(title="GPU, a step", value="kernel_ms", format=".3f", unit=" ms"),
    ),
)


@dataclass(frozen=True)
class Steps:
    """Steps of one scenario. Seconds are of one step on average; those of the GPU are None where it was not asked.

    `images` are those that were read a second, None where texts were only generated.
    """

    load: Load
    count: int
    tokens: float
    wall: float
    median: float
    images: float | None
    kernels: float | None = None
    busy: float | None = None
    kinds: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, load: Load, plain: Mapping[str, Any], profiled: Mapping[str, Any], images: float | None) -> Steps:
        """Of what `StepProbe` answered, without a profiler and with one. Raises `ValueError` for too few steps."""
        steps, number = plain["steps"], len(profiled.get("steps", ()))
        if len(steps) < 2:
            raise ValueError(f"expected steps of {load.name}, found {len(steps)}")
        lengths = [later - earlier for (earlier, *_), (later, *_) in pairwise(steps)]
        of_gpu = (
            {
                "kernels": profiled["kernels"] / number,
                "busy": profiled["busy_seconds"] / number,
                "kinds": {kind: seconds / number for kind, seconds in profiled["kinds"].items()},
            }
            if number
            else {}
        )
        tokens = statistics.fmean(tokens for _, _, tokens in steps)
        mean, median = statistics.fmean(lengths), statistics.median(lengths)
        return cls(load, len(steps), tokens, mean, median, images, **of_gpu)

    def to_records(self) -> list[dict[str, Value]]:
        """One of the steps, and one for each kind of kernel."""
        keys: dict[str, Value] = {
            "workload": "decoding alone" if self.images is None else self.load.name.partition("@")[0],
            "text_lengths": "varied" if self.load.varied else "equal",
            "in_flight": self.load.in_flight,
        }
        record: dict[str, Value] = keys | {
            "steps": self.count,
            "tokens_a_step": self.tokens,
            "step_ms": 1000 * self.wall,
            "median_ms": 1000 * self.median,
        }
        if self.images is not None:
            record["images_per_second"] = self.images
        if self.busy is not None and self.kernels is not None:
            busy = self.busy / self.wall
            record |= {"gpu_ms": 1000 * self.busy, "kernels": self.kernels, "busy": busy}
            if self.images is not None:
                record["gpu_images_per_second"] = self.images / busy
        return [record, *(keys | {"kernel": kind, "kernel_ms": 1000 * each} for kind, each in self.kinds.items())]


def to_figures(measured: Sequence[Steps], variant: str) -> Figures:
    """A record for each scenario, and for each kind of kernel in it."""
    return new_figures(
        question="For how much of a step does the GPU work?",
        rounds=1,
        conditions=(
            f"{variant}: an engine alone. A step's length is measured without the profiler, the GPU's time with it, as "
            "what its kernels cover. The GPU allows so many images where it always works, one kernel after the other."
        ),
        measurements=[record for steps in measured for record in steps.to_records()],
        tables={"steps": _STEPS, "kernels": _KINDS},
    )
