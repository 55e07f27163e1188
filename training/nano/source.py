"""Nano's world as the workers draw it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from training.common.batches import Batch
from training.common.tables import Shape as AnyShape
from training.nano.samples import SLOTS, fill_batch
from training.nano.shapes import SHAPES, Shape, pick_shape
from training.nano.world import Look, World

_LOOK = Look(sizes=(15, 25))
"""Training sees a little more than the world it is scored in..."""

_WIDE_LOOK = Look(sizes=(12, 36), wear=2.0)
"""...and from its half on, every other image is drawn more freely still."""


class NanoDrawer:
    """Draws batches of nano's world in one process."""

    def __init__(self, words: Sequence[str], seed: str) -> None:
        self.rng = Random(seed)
        self.worlds = [World(self.rng, words, look) for look in (_LOOK, _WIDE_LOOK)]

    def pick(self, progress: float) -> Shape:
        """The next batch's shape."""
        return pick_shape(self.rng, progress)

    def fill(self, batch: Batch, shape: AnyShape, progress: float) -> None:
        """Draw a whole batch into its arrays."""
        fill_batch(batch, Shape(shape.rows, shape.columns), self.worlds if progress > 0.5 else self.worlds[:1])


@dataclass(frozen=True)
class NanoSource:
    """Batches of nano's world, of these words."""

    words: Sequence[str]
    shapes: Sequence[Shape] = SHAPES
    slots: Sequence[int] = (SLOTS,)

    def drawer(self, seed: str) -> NanoDrawer:
        """What draws in one worker."""
        return NanoDrawer(self.words, seed)
