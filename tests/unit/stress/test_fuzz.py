"""The fuzz targets themselves: what they begin from holds, and what must be found is found."""

from __future__ import annotations

from pathlib import Path

import pytest

from perf.figures.table import render
from stress.fuzz.command import to_figures
from stress.fuzz.run import Outcome, fuzz
from stress.fuzz.target import NAMES, load_target


@pytest.mark.parametrize("name", NAMES)
def test_seeds_and_their_beginnings_do_what_they_may(name: str) -> None:
    target = load_target(name)
    for seed in target.seeds():
        assert len(seed) <= target.max_bytes
        for part in (seed, seed[: len(seed) // 2], seed[:-1] + b"\xff"):
            target.check(part)


def test_a_target_runs_under_the_fuzzer(tmp_path: Path) -> None:
    outcome = fuzz("errors", 1, tmp_path)
    assert (outcome.finding, outcome.artifact) == ("", None)
    assert outcome.executed > 0
    assert outcome.branches > 0


def test_outcomes_become_figures_with_their_sum() -> None:
    outcomes = [Outcome("errors", 1.0, 10, 2, 3, 4, "", None), Outcome("grid", 2.0, 5, 2, 3, 4, "it hung", None)]
    figures = to_figures(outcomes)
    assert figures.number("inputs", target="all") == 15
    assert [one["finding"] for one in figures.find(target="`grid`")] == ["it hung"]
    assert "| `errors` | 1 | 10 |" in render(figures, figures.tables["targets"], "x")
