"""What `perf.gpu.faults` has seen, as a file of figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from perf.figures.data import Column, Figures, Table, Value
from perf.figures.new import new_figures

_TABLES: Final = {
    "kill": Table(
        rows=("engines", "in_flight"),
        columns=(
            Column(title="engine that is killed", value="engines"),
            Column(title="in flight", value="in_flight"),
            Column(title="of them failed", value="failed"),
            Column(title="within", value="told_within_seconds", format=".2f", unit=" s"),
            Column(title="a second before", value="before_per_second", format=".0f"),
            Column(title="meanwhile", value="meanwhile_per_second", format=".0f"),
            Column(title="after", value="after_per_second", format=".0f"),
            Column(title="reads again after", value="read_again_seconds", format=".0f", unit=" s"),
            Column(title="errors", value="errors"),
        ),
    ),
    "start": Table(
        rows=("case",),
        columns=(
            Column(title="server", value="case"),
            Column(title="ends after", value="seconds", format=".0f", unit=" s"),
            Column(title="with", value="message"),
        ),
    ),
}


def to_figures(records: Sequence[Mapping[str, Value]]) -> Figures:
    """Tables of the engines that were killed, and of the servers that could not start, where there are such."""
    return new_figures(
        question="What do callers see when an engine is killed, and operators when memory does not suffice?",
        rounds=1,
        conditions="Receipts in flight while the engine's process is ended by SIGKILL.",
        measurements=records,
        tables={name: table for name, table in _TABLES.items() if any(table.rows[0] in one for one in records)},
    )
