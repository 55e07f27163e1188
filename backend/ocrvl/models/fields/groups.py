"""Labels of words to what they say together: one group for all words of a line with one label.

A word in the middle of a name that is taken for something else does not break the name in two, as it does where each
beginning is marked and believed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from ocrvl.models.fields.labels import Label
from ocrvl.models.fields.rows import WordLine, around
from ocrvl.models.words import Box, Word

_ADJACENT: Final = 1.5
"""Lines belong together where the gap between them is less than so many of their heights."""

_TOUCHING: Final = 0.75
"""So much of their height, and words of two lines beside each other are one text that was found in two parts."""


@dataclass(frozen=True)
class Judged:
    """What the model says of a word."""

    label: Label
    confidence: float


@dataclass(frozen=True)
class Group:
    """Words of one label: their `text`, the `confidence` of each, the box around them, and how high their line is."""

    label: Label
    text: str
    confidences: tuple[float, ...]
    box: Box
    height: float

    @property
    def confidence(self) -> float:
        """The mean over the words."""
        return sum(self.confidences) / len(self.confidences)


GroupRow = list[Group]
"""The groups of a row, from the left."""


def group_rows(rows: Sequence[Sequence[WordLine]], words: Sequence[Word], judged: Sequence[Judged]) -> list[GroupRow]:
    """The groups of each row, without those of no field; rows without any are left out."""
    found = [_join_touching([group for line in row for group in _groups(line, words, judged)]) for row in rows]
    return [row for row in found if row]


def _join_touching(row: GroupRow) -> GroupRow:
    """One group for neighbours of one label where a detector has cut a line in two."""
    joined: GroupRow = []
    for group in row:
        last = joined[-1] if joined else None
        if last and last.label is group.label and group.box[0] - last.box[2] < _TOUCHING * group.height:
            joined[-1] = join([last, group], " ")
        else:
            joined.append(group)
    return joined


def _groups(line: WordLine, words: Sequence[Word], judged: Sequence[Judged]) -> Iterator[Group]:
    members: dict[Label, list[int]] = {}
    for index in line.words:
        members.setdefault(judged[index].label, []).append(index)
    for label, indices in members.items():
        if label is not Label.OTHER:
            yield Group(
                label,
                " ".join(words[index].text for index in indices),
                tuple(judged[index].confidence for index in indices),
                around([words[index].box for index in indices]),
                line.box[3] - line.box[1],
            )


def join(groups: Sequence[Group], between: str = "\n") -> Group:
    """Groups of one label as one."""
    return Group(
        groups[0].label,
        between.join(group.text for group in groups),
        tuple(confidence for group in groups for confidence in group.confidences),
        around([group.box for group in groups]),
        max(group.height for group in groups),
    )


def blocks(groups: Sequence[Group]) -> list[Group]:
    """Groups of one label from top to bottom, with those joined that stand beside or right below each other."""
    parts: list[list[Group]] = []
    for group in groups:
        if parts and group.box[1] - parts[-1][-1].box[3] < _ADJACENT * max(group.height, parts[-1][-1].height):
            parts[-1].append(group)
        else:
            parts.append([group])
    return [join(part) for part in parts]
