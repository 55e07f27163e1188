"""Training batches of mini's world, cut by the service's own preprocessing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import numpy as np
import numpy.typing as npt

from ocrvl.imaging.patches import cut_patches, resize_to_grid
from ocrvl.prompts import TASK_PROMPTS
from training.common.batches import Batch, tail_arrays
from training.common.model import IGNORED
from training.common.tables import Shape as AnyShape
from training.mini.shapes import CELL, PIXEL_GRID, SHAPES, Shape, pick_shape
from training.mini.vocabulary import CHARACTER_CLASSES, END_ID, decode_text, encode_text, tail_ids
from training.mini.world.draw import Drawing, Matter, World, pick_task

SLOTS = (4, 5)
"""The auxiliary head tells of each quarter of a cell (a patch) five characters; more are left out."""

_TRIES = 4


def size_for(rng: Random, shape: AnyShape) -> tuple[int, int]:
    """A width and height that the service resizes to the shape: that of the grid itself two times in three."""
    width, height = CELL * shape.columns, CELL * shape.rows
    if rng.random() < 0.35:
        for _ in range(_TRIES):
            size = width + rng.randint(-13, 13), height + rng.randint(-13, 13)
            if PIXEL_GRID.resized_size(*size) == (width, height):
                return size
    return width, height


def draw_for(shape: AnyShape, world: World) -> Drawing:
    """A drawing whose image is resized to the shape; one in forty has nothing to be read."""
    rng = world.rng
    size = size_for(rng, shape)
    if rng.random() < 0.025:
        return world.draw_nothing(size)
    task = pick_task(rng, shape.rows, shape.columns)
    return world.draw(task, size, Shape(shape.rows, shape.columns).capacity)


def fill_batch(batch: Batch, shape: AnyShape, world: World) -> None:
    """Draw a whole batch into its arrays."""
    for place in range(len(batch.patches)):
        drawing = draw_for(shape, world)
        patches, _ = cut_patches(resize_to_grid(drawing.image, PIXEL_GRID), PIXEL_GRID)
        batch.patches[place] = patches
        prompt = tail_ids(TASK_PROMPTS[drawing.task])
        answer = [*encode_text(drawing.answer), END_ID]
        batch.tails[place], batch.labels[place] = tail_arrays(prompt, answer, shape.tail)
        batch.cells[place] = cell_classes(drawing, shape)


def cell_classes(drawing: Drawing, shape: AnyShape) -> npt.NDArray[np.int16]:
    """Which characters have their centres in each quarter of a cell: int16 [cells, *SLOTS], -1 where not known."""
    if drawing.characters is None:
        return np.full((shape.cells, *SLOTS), -1, np.int16)
    classes = np.zeros((shape.cells, *SLOTS), np.int16)
    height, width, _ = drawing.image.shape
    used = [0] * (4 * shape.cells)
    rows, columns = 2 * shape.rows, 2 * shape.columns
    for character, x, y in drawing.characters:
        row = min(max(int(y * rows / height), 0), rows - 1)
        column = min(max(int(x * columns / width), 0), columns - 1)
        quarter = 4 * (row // 2 * shape.columns + column // 2) + 2 * (row % 2) + column % 2
        if used[quarter] < SLOTS[1]:
            classes[quarter // 4, quarter % 4, used[quarter]] = CHARACTER_CLASSES[character]
            used[quarter] += 1
    return classes


def decode_labels(labels: npt.NDArray[np.int16]) -> str:
    """The answer that labels [T] ask for."""
    return decode_text([token for token in labels.tolist() if token != IGNORED])


class MiniDrawer:
    """Draws batches in one process."""

    def __init__(self, matter: Matter, seed: str) -> None:
        self.rng = Random(seed)
        self.worlds = [World(self.rng, matter, wear) for wear in (0.7, 1.5)]

    def pick(self, progress: float) -> Shape:
        """The next batch's shape."""
        return pick_shape(self.rng, progress)

    def fill(self, batch: Batch, shape: AnyShape, progress: float) -> None:
        """Draw a whole batch, more worn from two fifths of the training on."""
        fill_batch(batch, shape, self.worlds[int(progress > 0.4 and self.rng.random() < 0.5)])


@dataclass(frozen=True)
class MiniSource:
    """Batches of mini's world."""

    matter: Matter
    shapes: Sequence[Shape] = SHAPES
    slots: Sequence[int] = SLOTS

    def drawer(self, seed: str) -> MiniDrawer:
        """What draws in one worker."""
        return MiniDrawer(self.matter, seed)
