"""Fuzz the parsers, one after the other: `python -m stress fuzz`."""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from stress.fuzz.run import Outcome, fuzz
from stress.fuzz.target import NAMES


def main(
    targets: Annotated[list[str] | None, typer.Argument(help=f"Of {', '.join(NAMES)}; all unless named.")] = None,
    seconds: Annotated[int, typer.Option(min=1, help="For each target.")] = 60,
    corpus: Annotated[
        Path | None, typer.Option(help="A folder to go on from and to keep; a new one unless set.")
    ] = None,
    report: Annotated[Path | None, typer.Option(help="A JSON file for all the figures.")] = None,
) -> None:
    """Hand each parser inputs that reach ever more of it, and look for what none may do.

    Exit status 1 where an input made one raise what it must not, hang, or take too much memory.
    """
    console = Console(highlight=False, soft_wrap=True)
    if unknown := set(targets or ()) - set(NAMES):
        raise typer.BadParameter(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    folder = (corpus or Path(tempfile.mkdtemp(prefix="ocrvl-fuzz-"))).absolute()
    outcomes = []
    for name in targets or NAMES:
        console.print(f"{name}, {seconds} s")
        outcomes.append(fuzz(name, seconds, folder))
        if outcomes[-1].finding:
            console.print(f"  {outcomes[-1].finding} ({outcomes[-1].artifact})", style="red", markup=False)
    console.print(_table(outcomes), f"corpus and logs are in {folder}")
    if report:
        report.write_text(json.dumps([asdict(outcome) for outcome in outcomes], indent=2, default=str), "utf-8")
    if any(outcome.finding for outcome in outcomes):
        raise typer.Exit(1)


def _table(outcomes: list[Outcome]) -> Table:
    table = Table("target", "seconds", "inputs", "branches", "features", "kept", "finding", title="fuzzing")
    for one in outcomes:
        figures = (f"{one.seconds:.0f}", f"{one.executed:,}", str(one.branches), str(one.features), str(one.kept))
        table.add_row(one.name, *figures, one.finding or "none")
    table.add_section()
    seconds, executed = sum(one.seconds for one in outcomes), sum(one.executed for one in outcomes)
    table.add_row("all", f"{seconds:.0f}", f"{executed:,}", "", "", "", "")
    return table
