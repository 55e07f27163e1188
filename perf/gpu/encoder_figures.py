"""What `perf.gpu.encoder` has measured, as a file of figures."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from perf.figures.data import Column, Figures, Interval, Table, Value
from perf.figures.new import new_figures, summarize

_TABLE: Final = Table(
    rows=("workload", "images"),
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
    ),
)


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
        }


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
        measurements=[result.to_record(peak) for result in results],
        tables={"encoder": _TABLE},
    )


def _milliseconds(seconds: Sequence[float]) -> Interval | float:
    return summarize([1000 * one for one in seconds])
