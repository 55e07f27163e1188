"""Images of a report, SVG."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from perf.load.measurement import Measurement
from perf.load.profiles import Load
from perf.load.report import time_parts
from perf.plot_style import STYLE

_AXIS = {Load.CONCURRENCY: "requests in flight", Load.REQUEST_RATE: "requests a second, sent"}


def draw_plots(measurements: Sequence[Measurement], caption: str, folder: Path) -> list[Path]:
    """Draw what there is to draw into `folder`; the files."""
    drawn = []
    with mpl.rc_context(STYLE):
        for name, draw in _PLOTS.items():
            if figure := draw(measurements):
                figure.text(0.99, 0.01, caption, ha="right", va="bottom", fontsize=7, color="dimgray")
                drawn.append(folder / f"{name}.svg")
                figure.savefig(drawn[-1], metadata={"Date": None})
    return drawn


def _draw_load(measurements: Sequence[Measurement]) -> Figure | None:
    """Throughput and latency against the load, side by side."""
    if not measurements:
        return None
    figure, (left, right) = _figure(columns=2)
    for name, taken in _by_run(measurements):
        levels = [one.level for one in taken]
        left.plot(levels, [one.throughput for one in taken], marker="o", label=name)
        (line,) = right.plot(levels, [one.latency.p50 for one in taken], marker="o", label=f"{name}, p50")
        right.plot(
            levels, [one.latency.p99 for one in taken], marker="x", ls=":", color=line.get_color(), label=f"{name}, p99"
        )
    _finish(left, measurements, "images a second")
    _finish(right, measurements, "latency, ms")
    return figure


def _draw_first_token(measurements: Sequence[Measurement]) -> Figure | None:
    """Time to the first piece of text against the load."""
    streamed = [(one.level, one.first_token) for one in measurements if one.first_token]
    if not streamed:
        return None
    figure, (axes,) = _figure(columns=1)
    levels = [level for level, _ in streamed]
    axes.plot(levels, [first.p50 for _, first in streamed], marker="o", label="p50")
    axes.plot(levels, [first.p95 for _, first in streamed], marker="x", ls=":", label="p95")
    _finish(axes, measurements, "time to the first token, ms")
    return figure


def _draw_parts(measurements: Sequence[Measurement]) -> Figure | None:
    """Where a request's time goes: a bar for each measurement, of the means."""
    if not measurements:
        return None
    figure, (axes,) = _figure(columns=1)
    figure.set_figheight(1.2 + 0.32 * len(measurements))
    labels = [one.run.label(one.level) for one in measurements]
    parts = [time_parts(one) for one in measurements]
    lefts = [0.0] * len(parts)
    for name in dict.fromkeys(name for one in parts for name in one):
        widths = [one.get(name, 0.0) for one in parts]
        axes.barh(labels, widths, left=lefts, label=name)
        lefts = [left + width for left, width in zip(lefts, widths, strict=True)]
    axes.invert_yaxis()
    axes.set_xlabel("mean time of a request, ms")
    figure.legend(loc="outside upper center", ncols=3, frameon=False, fontsize=7)
    return figure


_PLOTS: dict[str, Callable[[Sequence[Measurement]], Figure | None]] = {
    "load": _draw_load,
    "first-token": _draw_first_token,
    "time": _draw_parts,
}


def _figure(columns: int) -> tuple[Figure, list[Axes]]:
    # the rectangle leaves room for the caption
    figure = Figure(figsize=(7.2, 3.0), layout=ConstrainedLayoutEngine(rect=(0, 0.06, 1, 0.94)))
    return figure, list(figure.subplots(1, columns, squeeze=False)[0])


def _by_run(measurements: Sequence[Measurement]) -> list[tuple[str, list[Measurement]]]:
    return [(name, list(taken)) for name, taken in groupby(measurements, lambda one: one.run.name)]


def _finish(axes: Axes, measurements: Sequence[Measurement], title: str) -> None:
    levels = sorted({one.level for one in measurements})
    axes.set_xscale("log", base=2)
    axes.set_xticks(levels, [f"{level:g}" for level in levels])
    axes.minorticks_off()
    axes.set_ylim(bottom=0)
    axes.set_xlabel(_AXIS[measurements[0].run.load])
    axes.set_ylabel(title)
    axes.legend(frameon=False, fontsize=7)
