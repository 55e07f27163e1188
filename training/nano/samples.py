"""Training batches: images of one grid, cut by the service's own preprocessing, with what is to be read in them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ocrvl.imaging.patches import cut_patches, resize_to_grid
from training.common.batches import Batch, tail_arrays
from training.common.model import IGNORED
from training.nano.shapes import CELL, PIXEL_GRID, Shape, sizes_of
from training.nano.vocabulary import (
    CHARACTER_IDS,
    END_ID,
    FIRST_CHARACTER_ID,
    OTHER_PROMPTS,
    decode_text,
    encode_text,
    tail_ids,
)
from training.nano.world import Drawing, World

SLOTS = 6
"""Characters that the auxiliary head tells of one cell; more are left out."""


def fill_batch(batch: Batch, shape: Shape, worlds: Sequence[World]) -> None:
    """Draw a whole batch into its arrays, each image in one of the worlds."""
    for place in range(len(batch.patches)):
        world = worlds[0].rng.choice(worlds)
        rng = world.rng
        drawing = draw_for(shape, world)
        task_prompt = rng.choice(OTHER_PROMPTS) if rng.random() < 0.1 else "OCR:"
        patches, _ = cut_patches(resize_to_grid(np.array(drawing.image), PIXEL_GRID), PIXEL_GRID)
        batch.patches[place] = patches
        batch.tails[place], batch.labels[place] = encode_tail(task_prompt, drawing.text, shape.tail)
        batch.cells[place] = cell_classes(drawing, shape)


def draw_batch(shape: Shape, count: int, world: World) -> Batch:
    """A batch of `count` images in memory of its own."""
    batch = Batch.empty(shape, count, (SLOTS,))
    fill_batch(batch, shape, [world])
    return batch


def draw_for(shape: Shape, world: World) -> Drawing:
    """A drawing whose image is resized to the shape, and whose text fits its capacity."""
    rng = world.rng
    # An image that is a whole number of cells already needs no resizing, which is the slowest step of drawing.
    size = (CELL * shape.columns, CELL * shape.rows) if rng.random() < 0.2 else rng.choice(sizes_of(shape))
    pick = rng.random()
    if pick < 0.005:
        return world.blank(size)
    if shape.rows == 1 or (shape.rows <= 3 and pick < 0.5):
        return world.line(size=size)
    if pick < 0.75:
        return world.receipt(size=size, capacity=shape.capacity)
    return world.paragraph(size=size, capacity=shape.capacity)


def encode_tail(task_prompt: str, text: str, length: int) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.int16]]:
    """Tokens after the image and their labels, int16 [length] each; the text is cut where it does not fit."""
    return tail_arrays(tail_ids(task_prompt), [*encode_text(text), END_ID], length)


def decode_labels(labels: npt.NDArray[np.int16]) -> str:
    """The text that labels [T] ask for."""
    return decode_text([token for token in labels.tolist() if token != IGNORED])


def cell_classes(drawing: Drawing, shape: Shape) -> npt.NDArray[np.int16]:
    """Which characters have their centres in each cell of the resized image: int16 [cells, SLOTS]."""
    classes = np.zeros((shape.cells, SLOTS), np.int16)
    used = [0] * shape.cells
    across = shape.columns / drawing.image.width
    down = shape.rows / drawing.image.height
    for placed in drawing.characters:
        column = min(max(int(placed.x * across), 0), shape.columns - 1)
        row = min(max(int(placed.y * down), 0), shape.rows - 1)
        cell = row * shape.columns + column
        if used[cell] < SLOTS:
            classes[cell, used[cell]] = 1 + CHARACTER_IDS[placed.character] - FIRST_CHARACTER_ID
            used[cell] += 1
    return classes
