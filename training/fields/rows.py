"""What a receipt consists of before it is drawn: rows of cells of labelled words."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from ocrvl.models.fields.labels import Label

Token = tuple[str, Label]
"""A word without white space, and what it is."""


def words(text: str, label: Label = Label.OTHER) -> list[Token]:
    """The words of a text, all with one label."""
    return [(word, label) for word in text.split()]


@dataclass
class Cell:
    """Words that stand together; `x` is where they are anchored, as a share of the printed width."""

    tokens: list[Token]
    x: float = 0.0
    align: Literal["left", "centre", "right"] = "left"

    @property
    def text(self) -> str:
        """The words as one text."""
        return " ".join(word for word, _ in self.tokens)


@dataclass
class RowPlan:
    """A row of cells from left to right.

    `scale` is its size beside that of the others, `space` what is left above it, in rows. So many rows `around` it,
    above and below, are free as well, and coloured with it where it stands on a band.
    """

    cells: list[Cell] = field(default_factory=list)
    scale: float = 1.0
    is_bold: bool = False
    space: float = 0.0
    around: float = 0.0
    on_band: bool = False
    has_rule: bool = False
