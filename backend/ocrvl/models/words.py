"""The words of a receipt and where they stand: what `receipt` reads and `fields` takes."""

from __future__ import annotations

import re
from dataclasses import dataclass

Box = tuple[float, float, float, float]
"""Left, top, right, bottom in pixels from the image's top left."""


@dataclass(frozen=True)
class Word:
    """A word without white space, its box, and the index of the line that it was read in."""

    text: str
    box: Box
    line: int


def split_line(text: str, box: Box, line: int) -> list[Word]:
    """The words of a line that was read as a whole, with boxes in proportion to characters, white space included.

    >>> split_line("Tea 2.50", (10, 0, 90, 20), 3)
    [Word(text='Tea', box=(10.0, 0, 40.0, 20), line=3), Word(text='2.50', box=(50.0, 0, 90.0, 20), line=3)]
    """
    left, top, right, bottom = box
    pitch = (right - left) / max(1, len(text))
    return [
        Word(found[0], (left + found.start() * pitch, top, left + found.end() * pitch, bottom), line)
        for found in re.finditer(r"\S+", text)
    ]
