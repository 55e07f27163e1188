"""Scores as tables: in the checkpoint's card, and as figures."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from perf.figures.data import Column, Figures, Table
from perf.figures.new import new_figures
from training.fields.score import Score

_BEGIN: Final = "<!-- score: written by `python -m training fields score --write-card` -->"
_END: Final = "<!-- end of score -->"


def format_table(scores: Sequence[Score]) -> str:
    """The scores as a table in Markdown."""
    rows = [
        f"| {one.name} | {one.receipts} | {one.printed.total()} | {one.f1():.4f} | {one.f1('company'):.3f} "
        f"| {one.whole / max(1, one.receipts):.1%} | {_share(one, 'right')} | {_share(one, 'none')} |"
        for one in scores
    ]
    head = "| words | receipts | entities | F1 | of companies | receipts without any error | values right | left open |"
    return "\n".join([head, "| --- | --: | --: | --: | --: | --: | --: | --: |", *rows])


def write_card(card: Path, scores: Sequence[Score]) -> None:
    """Replace the table in a checkpoint's card; raises `ValueError` where the card has no place for it."""
    text = card.read_text("utf-8")
    before, begin, rest = text.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not (begin and end):
        raise ValueError(f"{card} has no lines {_BEGIN!r} and {_END!r} to write the score between")
    card.write_text(f"{before}{begin}\n{format_table(scores)}\n{end}{after}", "utf-8")


def make_figures(scores: Sequence[Score]) -> Figures:
    """The scores as figures; milliseconds are of one thread's processor time, for a receipt."""
    measurements = [
        {
            "words": one.name,
            "receipts": one.receipts,
            "entities": one.printed.total(),
            "entity_f1": one.f1(),
            "company_f1": one.f1("company"),
            "whole_receipts": one.whole / max(1, one.receipts),
            "values_right": one.values["right"] / max(1, one.values.total()),
            "values_none": one.values["none"] / max(1, one.values.total()),
            "boxes_outside": one.outside,
            "cpu_ms": None if one.is_served else 1000 * statistics.median(one.seconds),
            "cpu_ms_most": None if one.is_served else 1000 * max(one.seconds),
        }
        for one in scores
    ]
    columns = (
        Column(title="words", value="words"),
        Column(title="entity F1", value="entity_f1", format=".4f"),
        Column(title="F1 of companies", value="company_f1", format=".3f"),
        Column(title="receipts without any error", value="whole_receipts", format=".1%"),
        Column(title="values right", value="values_right", format=".1%"),
        Column(title="left open", value="values_none", format=".1%"),
        Column(title="processor time", value="cpu_ms", format=".0f", unit=" ms"),
    )
    return new_figures(
        question="How many fields of drawn receipts are found, of words, shapes and fonts that training never saw?",
        rounds=1,
        conditions="The embedded checkpoints and their own drawn world: nothing is said of real receipts.",
        measurements=measurements,
        tables={"fields": Table(rows=("words",), columns=columns)},
    )


def _share(score: Score, kind: str) -> str:
    return f"{score.values[kind] / max(1, score.values.total()):.1%}"
