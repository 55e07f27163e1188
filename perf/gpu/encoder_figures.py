"""What `perf.gpu.encoder` has measured, as a file of figures."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from perf.figures.data import Column, Figures, Interval, Table, Value
from perf.figures.new import new_figures, summarize

_TABLE: Final = Table(
    rows=("workload", "images", "patches"),
    columns=(
        Column(title="image", value="workload"),
        Column(title="images", value="images"),
        Column(title="patches each", value="patches", format=","),
        Column(title="one by one", value="one_by_one_ms", format=".1f", unit=" ms"),
        Column(title="packed", value="packed_ms", format=".1f", unit=" ms"),
        Column(title="in graphs", value="graphs_ms", format=".1f", unit=" ms"),
        Column(title="one by one / best", value="ratio", format=".1f"),
        Column(title="differ by", value="difference", format=".1e"),
        Column(title="of the peak", value="of_peak", format=".0%"),
        Column(title="in FP8", value="fp8_ms", format=".1f", unit=" ms"),
        Column(title="FP8 differs by", value="fp8_difference", format=".1%"),
        Column(title="on average", value="fp8_error", format=".1%"),
    ),
)
_KERNELS: Final = Table(
    rows=("workload", "images", "precision", "kernel"),
    columns=(
        Column(title="image", value="workload"),
        Column(title="images", value="images"),
        Column(title="products in", value="precision"),
        Column(title="kernels", value="kernel"),
        Column(title="GPU", value="gpu_ms", format=".2f", unit=" ms"),
        Column(title="share", value="share", format=".0%"),
    ),
)


@dataclass(frozen=True)
class Fp8Result:
    """Seconds of each call in FP8; its results against those of the same encoder without.

    `difference` is the largest, relative to the largest value; `error` is the norm of all of them, relative to that of
    the values.
    """

    seconds: Sequence[float]
    difference: float
    error: float


@dataclass(frozen=True)
class Result:
    """Seconds of each call for all the images, round by round; no `graphs` where there are none, or none so large.

    `difference` is relative to the largest value, `flops` are of all the images.
    """

    size: str
    images: int
    patches: int
    one_by_one: Sequence[float]
    packed: Sequence[float]
    graphs: Sequence[float]
    difference: float
    flops: int
    fp8: Fp8Result | None = None
    kernels: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Seconds on the GPU by precision and kind of kernel."""

    def to_record(self, peak: float) -> dict[str, Value]:
        """For the file of figures; `peak` is the device's operations a second in a large matrix product."""
        best = self.graphs or self.packed
        return {
            "workload": self.size,
            "images": self.images,
            "patches": self.patches,
            "one_by_one_ms": _milliseconds(self.one_by_one),
            "packed_ms": _milliseconds(self.packed),
            "graphs_ms": _milliseconds(self.graphs) if self.graphs else None,
            "ratio": summarize([stock / own for stock, own in zip(self.one_by_one, best, strict=True)]),
            "difference": self.difference,
            "of_peak": self.flops / statistics.median(best) / peak,
            **(self._fp8_record(self.fp8) if self.fp8 else {}),
        }

    def to_kernel_records(self) -> list[dict[str, Value]]:
        """One for each precision and kind of kernel."""
        return [
            {
                "workload": self.size,
                "images": self.images,
                "precision": precision,
                "kernel": kind,
                "gpu_ms": 1000 * seconds,
                "share": seconds / sum(kinds.values()),
            }
            for precision, kinds in self.kernels.items()
            for kind, seconds in kinds.items()
        ]

    @staticmethod
    def _fp8_record(fp8: Fp8Result) -> dict[str, Value]:
        return {"fp8_ms": _milliseconds(fp8.seconds), "fp8_difference": fp8.difference, "fp8_error": fp8.error}


def to_figures(
    results: Sequence[Result], peak: float, dtype: str, random_difference: float | None, repeat: int
) -> Figures:
    """A record for each size and number of images; `random_difference` is that of graphs, over random sizes."""
    conditions = [f"The vision encoder alone, {dtype}, {peak / 1e12:.3g} TFLOP/s in a large matrix product."]
    conditions.append("Medians; differences are of the largest value.")
    if random_difference is not None:
        conditions.append(f"Images of random sizes, in graphs and not, differ by {random_difference:.1e} at most.")
    return new_figures(
        question="What does packing images bring to the vision encoder?",
        rounds=repeat,
        conditions=" ".join(conditions),
        measurements=[
            *(result.to_record(peak) for result in results),
            *(record for result in results for record in result.to_kernel_records()),
        ],
        tables={"encoder": _TABLE, "kernels": _KERNELS},
    )


def _milliseconds(seconds: Sequence[float]) -> Interval | float:
    return summarize([1000 * one for one in seconds])
