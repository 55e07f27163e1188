"""The grids that training cuts images into, and when it sees which."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from ocrvl.imaging.grid import PixelGrid
from training.mini.vocabulary import tail_ids

MIN_PIXELS = 28 * 28 * 4
MAX_PIXELS = 28 * 28 * 1024
"""Pixels after resizing: 4 to 1,024 visual tokens, so that a line of text need not be blown up to be read."""

PIXEL_GRID = PixelGrid(14, 2, MIN_PIXELS, MAX_PIXELS, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
"""The checkpoint's `preprocessor_config.json`, which need not exist yet."""

CELL = PIXEL_GRID.factor

MOST_TOKENS = 1024
"""Of an answer in training."""


@dataclass(frozen=True)
class Shape:
    """A grid in cells of 28 by 28 pixels."""

    rows: int
    columns: int

    @property
    def cells(self) -> int:
        """Visual tokens of an image."""
        return self.rows * self.columns

    @property
    def patches(self) -> int:
        """Patches of an image."""
        return 4 * self.cells

    @property
    def capacity(self) -> int:
        """Tokens of an answer: two a cell and some, up to `MOST_TOKENS`."""
        return min(MOST_TOKENS, 24 + 2 * self.cells)

    @property
    def tail(self) -> int:
        """Tokens after the image: the rest of the longest prompt, the answer, the end."""
        return len(tail_ids("Formula Recognition:")) + self.capacity + 1

    def batch_size(self, batch_tokens: int) -> int:
        """Images in a batch whose patches and tokens together are at most `batch_tokens`: 1 to 256."""
        return max(1, min(256, batch_tokens // (self.patches + self.cells + self.tail)))


SHAPES = tuple(
    Shape(rows, columns)
    for rows, widths in {
        1: (4, 6, 9, 13, 18, 24, 30),
        2: (3, 6, 10, 16, 22, 28),
        3: (4, 8, 13, 18, 24),
        4: (6, 12, 18, 26),
        6: (8, 14, 20, 28),
        8: (10, 16, 24),
        10: (12, 18, 26),
        12: (13, 20, 28),
        16: (12, 18, 24, 30),
        20: (16, 22, 28),
        24: (16, 20, 28),
        28: (20, 26, 34),
        32: (24, 32),
        36: (20, 26),
    }.items()
    for columns in widths
)
"""The grids of training: 52, since each is a CUDA graph; images of other grids are read as well, which the score
tells."""


def pick_shape(rng: Random, progress: float) -> Shape:
    """The next batch's shape: short lines first, lines up to 4 % of the training, the tallest from 15 %."""
    if progress < 0.01:
        return rng.choice([shape for shape in SHAPES if shape.rows == 1 and shape.columns <= 9])
    if progress < 0.04 or rng.random() < 0.25:
        return rng.choice([shape for shape in SHAPES if shape.rows <= 2])
    tallest = 4 if progress < 0.06 else 8 if progress < 0.09 else 16 if progress < 0.15 else 36
    return rng.choice([shape for shape in SHAPES if 2 <= shape.rows <= tallest])
