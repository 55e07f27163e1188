"""The order in which words are handed to the model: row by row from the top, whatever the caller's order is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ocrvl.models.words import Box, Word

_OVERLAP: Final = 0.5
"""Lines stand in one row where they overlap by this share of the lower one's height."""

_TOUCHING: Final = 0.75
"""Times the height of the lower one by which lines beside each other may overlap: a detector's boxes reach farther than
the letters, and one line is often found as two."""


@dataclass(frozen=True)
class WordLine:
    """A line of a row: the indices of its words, in the caller's order, and the box around them."""

    words: tuple[int, ...]
    box: Box


def arrange(words: Sequence[Word]) -> list[list[WordLine]]:
    """Rows from the top, each with its lines from the left."""
    rows: list[list[WordLine]] = []
    for line in sorted(_lines(words), key=lambda line: (line.box[1] + line.box[3], line.box[0])):
        if rows and _is_beside(rows[-1], line.box):
            rows[-1].append(line)
        else:
            rows.append([line])
    return [sorted(row, key=lambda line: line.box[0]) for row in rows]


def around(boxes: Sequence[Box]) -> Box:
    """The smallest box with all of them."""
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)


def _lines(words: Sequence[Word]) -> list[WordLine]:
    members: dict[int, list[int]] = {}
    for index, word in enumerate(words):
        members.setdefault(word.line, []).append(index)
    return [WordLine(tuple(line), around([words[index].box for index in line])) for line in members.values()]


def _is_beside(row: Sequence[WordLine], box: Box) -> bool:
    """Whether a line stands beside the row's last one, and not over or under one of them."""
    last = row[-1].box
    height = min(last[3] - last[1], box[3] - box[1])
    shared = min(last[3], box[3]) - max(last[1], box[1])
    slack = _TOUCHING * height
    return shared >= _OVERLAP * height and all(
        box[0] >= one.box[2] - slack or box[2] <= one.box[0] + slack for one in row
    )
