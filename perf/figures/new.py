"""Figures of a run that has just ended: printed, and kept with `--save` or `--output`."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, TypeAlias

import typer
from rich.console import Console
from rich.markdown import Markdown

from perf.compare import Ratio
from perf.conditions import describe_command, describe_machine, installed_versions
from perf.figures.data import Figures, Interval, Table, Value, save
from perf.figures.table import render

Save: TypeAlias = Annotated[bool, typer.Option("--save", help="Keep the figures in perf/figures.")]
Output: TypeAlias = Annotated[
    Path | None, typer.Option("--output", help="A file for the figures, in the format of perf/figures.")
]


def new_figures(
    *,
    question: str,
    rounds: int | None,
    conditions: str | None,
    measurements: Iterable[Mapping[str, Value]],
    tables: Mapping[str, Table],
) -> Figures:
    """Figures taken today on this machine by this command."""
    return Figures(
        question=question,
        date=datetime.now(UTC).date(),
        machine=describe_machine(),
        versions=installed_versions(),
        command=describe_command(),
        rounds=rounds,
        conditions=conditions,
        measurements=tuple(map(round_values, measurements)),
        tables=tables,
    )


def keep(name: str, figures: Figures, console: Console, *, save_them: bool = False, output: Path | None = None) -> None:
    """Print the tables of the figures; write them to `perf/figures/NAME.json`, and to a file, where wanted."""
    for table in figures.tables.values():
        console.print(Markdown(render(figures, table, f"{name}.json")))
    if save_them:
        console.print(f"written to {save(name, figures)}")
    if output:
        console.print(f"written to {save(output.stem, figures, output.parent)}")


def summarize(values: Sequence[float]) -> Interval | float:
    """The median with the interval that holds the true one with 95 % confidence; alone where values are too few."""
    try:
        ratio = Ratio.of(values)
    except ValueError:
        return statistics.median(values)
    return Interval(median=ratio.median, low=ratio.low, high=ratio.high)


def span(values: Sequence[float]) -> Interval:
    """The median, the smallest and the largest."""
    return Interval(median=statistics.median(values), low=min(values), high=max(values))


def round_values(record: Mapping[str, Value]) -> dict[str, Value]:
    """The record with its numbers to four significant digits: no measurement has more."""
    return {key: _rounded(value) for key, value in record.items()}


def _rounded(value: Value) -> Value:
    match value:
        case float():
            return float(f"{value:.4g}")
        case Interval(median=median, low=low, high=high):
            return Interval(median=float(f"{median:.4g}"), low=float(f"{low:.4g}"), high=float(f"{high:.4g}"))
        case _:
            return value
