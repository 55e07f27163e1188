"""The grids that training cuts images into, and the sizes of images that the service resizes to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from random import Random

from ocrvl.imaging.grid import PixelGrid
from training.nano.architecture import MAX_PIXELS, MIN_PIXELS
from training.nano.vocabulary import OTHER_PROMPTS, tail_ids

PIXEL_GRID = PixelGrid(14, 2, MIN_PIXELS, MAX_PIXELS, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
"""The checkpoint's `preprocessor_config.json`, which need not exist yet."""

CELL = PIXEL_GRID.factor


@dataclass(frozen=True)
class Shape:
    """A grid in cells of 28 by 28 pixels, and how batches of it are padded."""

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
        """Characters of text that an image may carry."""
        return min(44, 8 + 4 * self.columns) if self.rows == 1 else 24 + 2 * self.cells

    @property
    def tail(self) -> int:
        """Tokens after the image: the rest of the prompt, the text, the end."""
        return len(tail_ids(OTHER_PROMPTS[1])) + self.capacity + 1

    def batch_size(self, batch_tokens: int) -> int:
        """Images in a batch whose patches and tokens together are at most `batch_tokens`: 1 to 256."""
        return max(1, min(256, batch_tokens // (self.patches + self.cells + self.tail)))


SHAPES = tuple(
    Shape(rows, columns)
    for rows, widths in {
        1: (4, 5, 6, 8, 10, 12, 15, 18, 22),
        2: (2, 3, 4, 6, 8, 11, 14, 17, 21),
        3: (2, 4, 6, 9, 13, 17),
        4: (5, 8, 11, 15),
        5: (4, 7, 10, 14),
        6: (6, 9, 12, 16),
        7: (8, 11, 14),
        8: (7, 10, 13, 17),
        9: (9, 12, 15),
        10: (8, 11, 14),
        11: (10, 13, 16),
        12: (12, 15),
        13: (11, 14),
    }.items()
    for columns in widths
)
"""The grids of training; images of other grids are read as well, which the score tells."""


def pick_shape(rng: Random, progress: float) -> Shape:
    """The next batch's shape: short lines first, all lines from 4 % of the training, everything from 15 %."""
    if progress < 0.015:
        return rng.choice([shape for shape in SHAPES if shape.rows == 1 and shape.columns <= 8])
    if progress < 0.04 or rng.random() < 0.4:
        return rng.choice([shape for shape in SHAPES if shape.rows <= 2])
    tallest = 5 if progress < 0.07 else 8 if progress < 0.12 else 13
    return rng.choice([shape for shape in SHAPES if 2 <= shape.rows <= tallest])


@lru_cache(maxsize=1)
def _sizes_by_grid() -> dict[tuple[int, int], list[tuple[int, int]]]:
    sizes: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for height in range(18, 380):
        for width in range(18, 640, 3):
            resized = PIXEL_GRID.resized_size(width, height)
            sizes.setdefault((resized[1] // CELL, resized[0] // CELL), []).append((width, height))
    return sizes


def sizes_of(shape: Shape) -> Sequence[tuple[int, int]]:
    """Sizes of images, width and height in pixels, that the service resizes to this grid."""
    return _sizes_by_grid()[shape.rows, shape.columns]
