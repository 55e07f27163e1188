"""Fuzz the parsers, one after the other: `python -m stress fuzz`."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import typer

from perf.figures.data import Column, Figures, Table, Value
from perf.figures.new import Output, keep, new_figures
from stress.console import make_console
from stress.fuzz.run import Outcome, fuzz
from stress.fuzz.target import NAMES

_TABLE: Final = Table(
    rows=("target",),
    columns=(
        Column(title="target", value="target"),
        Column(title="seconds", value="seconds", format=".0f"),
        Column(title="inputs", value="inputs", format=","),
        Column(title="branches reached", value="branches"),
        Column(title="features", value="features"),
        Column(title="inputs kept", value="kept"),
        Column(title="finding", value="finding"),
    ),
)


def main(
    targets: Annotated[list[str] | None, typer.Argument(help=f"Of {', '.join(NAMES)}; all unless named.")] = None,
    seconds: Annotated[int, typer.Option(min=1, help="For each target.")] = 60,
    corpus: Annotated[
        Path | None, typer.Option(help="A folder to go on from and to keep; a new one unless set.")
    ] = None,
    output: Output = None,
) -> None:
    """Hand each parser inputs that reach ever more of it, and look for what none may do.

    Exit status 1 where an input made one raise what it must not, hang, or take too much memory.
    """
    console = make_console()
    if unknown := set(targets or ()) - set(NAMES):
        raise typer.BadParameter(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    folder = (corpus or Path(tempfile.mkdtemp(prefix="ocrvl-fuzz-"))).absolute()
    outcomes = []
    for name in targets or NAMES:
        console.print(f"{name}, {seconds} s")
        outcomes.append(fuzz(name, seconds, folder))
        if outcomes[-1].finding:
            console.print(f"  {outcomes[-1].finding} ({outcomes[-1].artifact})", style="red", markup=False)
    keep("fuzz", to_figures(outcomes), console, output=output)
    console.print(f"corpus and logs are in {folder}")
    if any(outcome.finding for outcome in outcomes):
        raise typer.Exit(1)


def to_figures(outcomes: Sequence[Outcome]) -> Figures:
    """A record for each target, and one for all."""
    return new_figures(
        question="How many inputs have the decoders and parsers been fuzzed with?",
        rounds=1,
        conditions="With the lowest priority; seconds have the start in them.",
        measurements=[*map(_record, outcomes), _sum(outcomes)],
        tables={"targets": _TABLE},
    )


def _record(outcome: Outcome) -> dict[str, Value]:
    return {
        "target": f"`{outcome.name}`",
        "seconds": outcome.seconds,
        "inputs": outcome.executed,
        "branches": outcome.branches,
        "features": outcome.features,
        "kept": outcome.kept,
        "finding": outcome.finding or "none",
    }


def _sum(outcomes: Sequence[Outcome]) -> dict[str, Value]:
    seconds, inputs = sum(one.seconds for one in outcomes), sum(one.executed for one in outcomes)
    return {"target": "all", "seconds": seconds, "inputs": inputs}
