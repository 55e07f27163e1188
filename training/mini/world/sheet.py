"""A sheet that is printed on: ink as grey levels, and where every character stands."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from PIL import Image, ImageDraw

from training.nano.fonts import Face


class Box(NamedTuple):
    """Left, top, right and bottom edge in pixels."""

    left: float
    top: float
    right: float
    bottom: float


class Placed(NamedTuple):
    """A character and its centre, pixels from the top left."""

    character: str
    x: float
    y: float


@dataclass
class Sheet:
    """Ink on nothing: 0 is paper, 255 is ink.

    `sizes` are the least and the largest em; `are_characters_known` is false where something was printed whose
    characters are not told.
    """

    width: int
    height: int
    sizes: tuple[int, int] = (9, 40)
    characters: list[Placed] = field(default_factory=list)
    are_characters_known: bool = True

    def __post_init__(self) -> None:
        self.ink = Image.new("L", (self.width, self.height), 0)
        self.pen = ImageDraw.Draw(self.ink)

    def text(self, x: float, baseline: float, text: str, face: Face, level: int = 255) -> float:
        """Print a text from `x` on; returns its right edge."""
        left, bottom = round(x), round(baseline)
        self.pen.text((left, bottom), text, fill=level, font=face.font, anchor="ls")
        edges, middle = face.edges(text), bottom - 0.35 * face.size
        for character, start, end in zip(text, edges, edges[1:], strict=False):
            self.characters.append(Placed(character, left + (start + end) / 2, middle))
        return left + edges[-1]

    def space(self, left: float, right: float, baseline: float, face: Face) -> None:
        """Tell of a space between two texts, or of a line's end."""
        self.characters.append(Placed(" ", (left + right) / 2, round(baseline) - 0.35 * face.size))

    def rule(self, left: float, top: float, right: float, bottom: float, width: int = 1, level: int = 230) -> None:
        """Draw a straight line."""
        self.pen.line((left, top, right, bottom), fill=level, width=width)


def ink_box(x: float, baseline: float, text: str, face: Face) -> Box:
    """Where a text's ink lies, were it printed there."""
    left, top, right, bottom = face.font.getbbox(text, anchor="ls")
    return Box(round(x) + left, round(baseline) + top, round(x) + right, round(baseline) + bottom)
