"""Throughput, latency and time to the first text against requests in flight, drawn from what `perf.gpu.pairs` measured.

`python -m perf.gpu.curves results.jsonl --variant served:max_num_seqs=512 curves.svg`
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import matplotlib as mpl
import typer
from matplotlib.figure import Figure

from perf.gpu.load import parse_load
from perf.gpu.report import Record, quantile, read_run
from perf.plot_style import STYLE


@dataclass(frozen=True)
class Point:
    """What one number of requests in flight came to: images a second, seconds of latency and to the first text."""

    in_flight: int
    rate: float
    p50: float
    p95: float
    first: float | None
    """p50 of the time to the first text; None where nothing was streamed."""


def main(
    results: Annotated[Path, typer.Argument(help="results.jsonl of a run.")],
    output: Annotated[Path, typer.Argument(help="The SVG to draw.")],
    variant: Annotated[str, typer.Option(help="Whose measurements.")] = "served",
    caption: Annotated[str, typer.Option(help="Which machine and date.")] = "",
) -> None:
    """Draw the curves of one variant."""
    curves = collect_curves(record for record in read_run(results) if record.get("variant") == variant)
    if not curves:
        raise typer.BadParameter(f"{results} has no measurement of {variant}", param_hint="--variant")
    draw_curves(curves, caption, output)


def collect_curves(records: Iterable[Record]) -> dict[str, list[Point]]:
    """The points of each size, by requests in flight, over all rounds."""
    by_load: dict[str, list[Record]] = {}
    for record in records:
        if record["kind"] == "measured":
            by_load.setdefault(record["load"], []).append(record)
    curves: dict[str, list[Point]] = {}
    for name, measured in by_load.items():
        load = parse_load(name, seconds=0, waves=1)
        curves.setdefault(load.size, []).append(_point(load.in_flight, measured))
    return {size: sorted(points, key=lambda point: point.in_flight) for size, points in curves.items()}


def _point(in_flight: int, records: Sequence[Record]) -> Point:
    latencies = [seconds for record in records for seconds in record["latencies"]]
    firsts = [seconds for record in records for seconds in record["firsts"]]
    rate = statistics.median(len(record["latencies"]) / record["seconds"] for record in records)
    p50, p95 = (quantile(latencies, share) for share in (0.5, 0.95))
    return Point(in_flight, rate, p50, p95, quantile(firsts, 0.5) if firsts else None)


def draw_curves(curves: dict[str, list[Point]], caption: str, output: Path) -> None:
    """A column for each size: images a second above, seconds below."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9, 4.5), layout="constrained")
        columns = figure.subplots(2, len(curves), squeeze=False).T
        for (rates, times), (size, points) in zip(columns, curves.items(), strict=True):
            in_flight = [point.in_flight for point in points]
            rates.plot(in_flight, [point.rate for point in points], marker="o")
            rates.set(title=f"{size}s", ylabel="a second")
            times.plot(in_flight, [point.p95 for point in points], marker="x", ls=":", color="C0", label="p95")
            times.plot(in_flight, [point.p50 for point in points], marker="o", color="C0", label="p50")
            streamed = [(point.in_flight, point.first) for point in points if point.first is not None]
            if streamed:
                times.plot(*zip(*streamed, strict=True), marker="o", color="C1", label="first text, p50")
            times.set(xlabel="in flight", ylabel="seconds")
            times.legend(frameon=False)
            for axes in (rates, times):
                axes.set_xscale("log", base=2)
                axes.set_xticks(in_flight, [str(count) for count in in_flight])
                axes.set_ylim(0, None)
        figure.supxlabel(caption, x=0.99, ha="right", fontsize=7, color="dimgray")
        figure.savefig(output, metadata={"Date": None})


if __name__ == "__main__":
    typer.run(main)
