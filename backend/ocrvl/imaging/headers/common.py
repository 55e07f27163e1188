"""What all formats have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

PLAIN_PASSES: Final = 32_000_000
"""Pixels, times the passes over them, that are decoded where their request is: two seconds at the worst (25 megapixels
of 32-bit PNG; on one core of a Xeon)."""

PLAIN_EXIF_BYTES: Final = 65_536
"""Of an EXIF block: what a JPEG has room for in one segment. Its tags may all name the same bytes, so the cost grows
with the square."""


@dataclass(frozen=True)
class Header:
    """A file's format by Pillow's name, its width and height as stored, and what decoding it can cost.

    `passes` is how often a decoder may go over each pixel; `is_bounded` whether pixels and passes are all that the cost
    depends on.
    """

    format: str
    size: tuple[int, int]
    passes: int = 1
    is_bounded: bool = True

    @property
    def is_plain(self) -> bool:
        """Whether decoding it takes a known, short time."""
        width, height = self.size
        return self.is_bounded and width * height * self.passes <= PLAIN_PASSES
