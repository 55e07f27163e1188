"""Figures as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby

from perf.figures.data import Column, Figures, Interval, Table, Value

Record = Mapping[str, Value]


def render(figures: Figures, table: Table, link: str) -> str:
    """The table, and below it what it was measured on; `link` is where the page finds the file."""
    groups = _group_rows(figures.measurements, table)
    left = [_is_text(column, groups) for column in table.columns]
    rows: list[list[str]] = []
    for group, records in groupby(groups, lambda row: row[0].get(table.group) if table.group else None):
        if group:
            rows.append([f"**{group}**", *[""] * (len(table.columns) - 1)])
        rows += [[_cell(row, column) for column in table.columns] for row in records]
    head = [column.title for column in table.columns]
    return f"{markdown_table(head, rows, left)}\n\n{describe(figures, link)}"


def describe(figures: Figures, link: str) -> str:
    """Machine, versions, day and rounds, as far as they are known.

    >>> from datetime import date
    >>> figures = Figures(
    ...     question="How fast?", date=date(2026, 11, 30), machine="H100", versions={"vLLM": "0.24.0"}, command=None,
    ...     rounds=6, conditions=None, measurements=(), tables={},
    ... )
    >>> describe(figures, "perf/figures/fast.json")
    '[Data](perf/figures/fast.json): H100, vLLM 0.24.0, 2026-11-30, 6 rounds.'
    """
    versions = (f"{name} {version}" for name, version in figures.versions.items())
    day = figures.date.isoformat() if figures.date else None
    rounds = f"{figures.rounds} round{'' if figures.rounds == 1 else 's'}" if figures.rounds else None
    known = [part for part in (figures.machine, *versions, day, rounds) if part]
    return f"[Data]({link}){': ' if known else ''}{', '.join(known)}."


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]], left: Sequence[bool]) -> str:
    """A table, those columns aligned to the left that `left` says.

    >>> print(markdown_table(["a", "b"], [["x", "1"]], [True, False]))
    | a | b |
    | --- | --: |
    | x | 1 |
    """
    rule = ["---" if is_left else "--:" for is_left in left]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *rows))


def format_value(value: Value, column: Column) -> str:
    """A cell.

    >>> rate = Column(title="receipts a second", value="rate", format=".1f")
    >>> [format_value(one, rate) for one in (Interval(median=2.13, low=1.9, high=2.5), 12, None)]
    ['2.1 (1.9 to 2.5)', '12.0', '']
    """
    match value:
        case None:
            return ""
        case str():
            return value
        case Interval():
            middle, least, most = (format(number, column.format) for number in (value.median, value.low, value.high))
            return f"{middle}{column.unit} ({least} to {most})"
        case _:
            return f"{value:{column.format}}{column.unit}"


def _group_rows(records: Iterable[Record], table: Table) -> list[list[Record]]:
    """The records of each row: those that have all its keys, in the order in which keys come first."""
    rows: dict[tuple[Value, ...], list[Record]] = {}
    for record in records:
        if all(key in record for key in table.rows) and table.where.items() <= record.items():
            rows.setdefault(tuple(record[key] for key in table.rows), []).append(record)
    return [row for row in rows.values() if any(_find(row, column) for column in _values(table))]


def _values(table: Table) -> Iterator[Column]:
    """The columns that are not just the row's keys."""
    return (column for column in table.columns if column.value not in table.rows)


def _find(row: Sequence[Record], column: Column) -> list[Value]:
    return [record[column.value] for record in row if column.value in record and column.where.items() <= record.items()]


def _cell(row: Sequence[Record], column: Column) -> str:
    """The value that the row's records have for a column. Raises `ValueError` where they differ in it."""
    found = list(dict.fromkeys(_find(row, column)))
    if len(found) > 1:
        raise ValueError(f"column {column.title!r}: {len(found)} values in one row, {dict(row[0])}")
    return format_value(found[0], column) if found else ""


def _is_text(column: Column, rows: Iterable[Sequence[Record]]) -> bool:
    return any(isinstance(value, str) for row in rows for value in _find(row, column))
