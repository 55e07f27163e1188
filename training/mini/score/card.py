"""The scores as tables, and their place in a checkpoint's card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from training.mini.score.drawn import Result
from training.mini.score.manuals import PageScore


def format_drawn(results: Mapping[str, Sequence[Result]]) -> str:
    """Results of one or several checkpoints on the same sets, side by side."""
    names = list(results)
    lines = [f"| images | number | {' | '.join(names)} | aim |", f"| --- | --: | {'--: | ' * len(names)}--: |"]
    for row in zip(*results.values(), strict=True):
        chosen = row[0].chosen
        aim = "" if chosen.aim is None else f"{chosen.aim:.0%}"
        lines.append(f"| {chosen.name} | {chosen.images} | {' | '.join(f'{one.right:.2%}' for one in row)} | {aim} |")
    return "\n".join(lines)


def format_manuals(pages: Sequence[PageScore]) -> str:
    """A line a manual, and all of them together, by characters."""
    lines = ["| manual | pages | characters | right |", "| --- | --: | --: | --: |"]
    names = list(dict.fromkeys(page.manual for page in pages))
    for name in [*names, "all"]:
        chosen = [page for page in pages if name in (page.manual, "all")]
        characters = sum(page.characters for page in chosen)
        right = sum(page.right * page.characters for page in chosen) / max(1, characters)
        lines.append(f"| {name} | {len(chosen)} | {characters} | {right:.2%} |")
    return "\n".join(lines)


def write_section(card: Path, name: str, table: str) -> None:
    """Replace what stands between a card's marks of that name; raises `ValueError` where the card has none."""
    begin, end = f"<!-- {name}: written by `python -m training mini {name}` -->", f"<!-- end of {name} -->"
    before, opened, rest = card.read_text("utf-8").partition(begin)
    _, closed, after = rest.partition(end)
    if not (opened and closed):
        raise ValueError(f"{card} has no lines {begin!r} and {end!r} to write the table between")
    card.write_text(f"{before}{begin}\n{table}\n{end}{after}", "utf-8")
