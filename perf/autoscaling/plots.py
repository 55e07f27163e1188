"""Images of a day and of what settings cost, SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from perf.autoscaling.load import Day
from perf.autoscaling.report import Row
from perf.autoscaling.simulation import SAMPLE_SECONDS, Result
from perf.plot_style import STYLE


def draw_day(path: Path, day: Day, results: Mapping[str, Result]) -> None:
    """The load, replicas and what waits over a day, for each of some settings."""
    with mpl.rc_context({**STYLE, "svg.hashsalt": path.name}):
        figure = Figure(figsize=(9, 5.5), layout="constrained")
        load, replicas, waiting = figure.subplots(3, 1, sharex=True)
        rates = day.rates(SAMPLE_SECONDS)
        hours = np.arange(len(rates)) * SAMPLE_SECONDS / 3600
        load.plot(hours, rates, color="dimgray", linewidth=0.8)
        for name, result in results.items():
            replicas.plot(hours, result.replicas, label=name, linewidth=0.9)
            waiting.plot(hours, result.waiting, label=name, linewidth=0.9)
        load.set(ylabel="requests a second", ylim=(0, None))
        replicas.set(ylabel="replicas", ylim=(0, None))
        waiting.set(ylabel="requests waiting", xlabel="hour of the day", xlim=(0, 24), xticks=range(0, 25, 3))
        replicas.legend(frameon=False, fontsize=7, loc="upper left")
        figure.savefig(path, metadata={"Date": None})


def draw_costs(path: Path, rows: Sequence[Row]) -> None:
    """GPU-hours against refusals, a line for each group of settings."""
    with mpl.rc_context({**STYLE, "svg.hashsalt": path.name}):
        figure = Figure(figsize=(9, 4.5), layout="constrained")
        axes = figure.subplots()
        for group, members in groupby(rows, lambda row: row.variant.group):
            taken = list(members)
            if group:
                # none refused is drawn at the left edge of a logarithmic axis
                x = [max(100 * row.refused_share, 0.001) for row in taken]
                axes.plot(x, [row.gpu_hours for row in taken], marker="o", linewidth=0.8, markersize=4, label=group)
        axes.set_xscale("log")
        axes.set(xlabel="refused, per cent (0.001 and less at the left)", ylabel="GPU-hours a day")
        axes.legend(frameon=False, fontsize=7)
        figure.savefig(path, metadata={"Date": None})
