"""Parts of the documentation that programs write: between two comments that name the command."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def write_part(page: Path, command: str, text: str) -> None:
    """Replace what the page has between the command's comments."""
    before, _, after = split(page, command)
    page.write_text(f"{before}\n{text}\n{after}", "utf-8")


def read_part(page: Path, command: str) -> str:
    """What the page has between the command's comments."""
    return split(page, command)[1].strip("\n")


def split(page: Path, command: str) -> tuple[str, str, str]:
    """The page before, between and after the comments, which stay with their sides.

    Raises `ValueError` where they are not there.
    """
    start, end = f"<!-- made by {command} -->", "<!-- end -->"
    before, found, rest = page.read_text("utf-8").partition(start)
    inside, ended, after = rest.partition(end)
    if not found or not ended:
        raise ValueError(f"{page}: {start} and {end} are wanted around the part")
    return before + start, inside, ended + after


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; all columns but the first are aligned to the right.

    >>> print(markdown_table(["a", "b"], [["x", "1"]]))
    | a | b |
    | --- | --: |
    | x | 1 |
    """
    lines = [list(head), ["---", *["--:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
