"""Training batches: images of one grid, cut by the service's own preprocessing, with what is to be read in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ocrvl.imaging.patches import cut_patches, resize_to_grid
from training.nano.shapes import CELL, PIXEL_GRID, Shape, sizes_of
from training.nano.vocabulary import (
    CHARACTER_IDS,
    END_ID,
    FIRST_CHARACTER_ID,
    OTHER_PROMPTS,
    PAD_ID,
    decode_text,
    encode_text,
    tail_ids,
)
from training.nano.world import Drawing, World

SLOTS = 6
"""Characters that the auxiliary head tells of one cell; more are left out."""

IGNORED = -100
"""The label of what is not to be predicted (PyTorch's default)."""


@dataclass(frozen=True)
class Batch:
    """Arrays of one batch of one shape.

    `patches` uint8 [B, P, 588]; `tails` int16 [B, T], the tokens after the image, padded; `labels` int16 [B, T],
    the token that follows each one, or `IGNORED`; `cells` int16 [B, cells, SLOTS], the class of each character whose
    centre falls in the cell (its place in `CHARACTERS` plus one), by line and then from the left, then zeros.
    """

    patches: npt.NDArray[np.uint8]
    tails: npt.NDArray[np.int16]
    labels: npt.NDArray[np.int16]
    cells: npt.NDArray[np.int16]

    @classmethod
    def in_buffer(cls, shape: Shape, count: int, buffer: memoryview) -> Batch:
        """A batch of `count` images whose arrays lie one after the other in `buffer`."""
        fields: list[npt.NDArray[np.generic]] = []
        start = 0
        for dtype, rest in _layout(shape):
            array = np.frombuffer(buffer, dtype, count * int(np.prod(rest)), start)
            fields.append(array.reshape(count, *rest))
            start += array.nbytes
        return cls(*fields)  # type: ignore[arg-type]


def buffer_bytes(shape: Shape, count: int) -> int:
    """How large a batch of `count` images of this shape is."""
    return sum(count * int(np.prod(rest)) * np.dtype(dtype).itemsize for dtype, rest in _layout(shape))


def _layout(shape: Shape) -> tuple[tuple[type[np.generic], tuple[int, ...]], ...]:
    return (
        (np.uint8, (shape.patches, 588)),
        (np.int16, (shape.tail,)),
        (np.int16, (shape.tail,)),
        (np.int16, (shape.cells, SLOTS)),
    )


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
    batch = Batch.in_buffer(shape, count, memoryview(bytearray(buffer_bytes(shape, count))))
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
    prompt = tail_ids(task_prompt)
    answer = [*encode_text(text), END_ID][: length - len(prompt)]
    tail = np.full(length, PAD_ID, np.int16)
    labels = np.full(length, IGNORED, np.int16)
    tail[: len(prompt)] = prompt
    tail[len(prompt) : len(prompt) + len(answer)] = answer
    labels[len(prompt) - 1 : len(prompt) - 1 + len(answer)] = answer
    return tail, labels


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
