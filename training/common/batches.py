"""Training batches: images of one grid with what is to be read in them, as arrays in memory that processes share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from training.common.model import IGNORED
from training.common.tables import Shape

_PAD_ID = 0


@dataclass(frozen=True)
class Batch:
    """Arrays of one batch of one shape.

    `patches` uint8 [B, P, 588]; `tails` int16 [B, T], the tokens after the image, padded; `labels` int16 [B, T],
    the token that follows each one, or `IGNORED`; `cells` int16 [B, cells, *slots], the class of each character whose
    centre falls in the cell (its place among the world's characters plus one), by line and then from the left, then
    zeros.
    """

    patches: npt.NDArray[np.uint8]
    tails: npt.NDArray[np.int16]
    labels: npt.NDArray[np.int16]
    cells: npt.NDArray[np.int16]

    @classmethod
    def in_buffer(cls, shape: Shape, count: int, slots: Sequence[int], buffer: memoryview) -> Batch:
        """A batch of `count` images whose arrays lie one after the other in `buffer`."""
        fields: list[npt.NDArray[np.generic]] = []
        start = 0
        for dtype, rest in _layout(shape, slots):
            array = np.frombuffer(buffer, dtype, count * int(np.prod(rest)), start)
            fields.append(array.reshape(count, *rest))
            start += array.nbytes
        return cls(*fields)  # type: ignore[arg-type]

    @classmethod
    def empty(cls, shape: Shape, count: int, slots: Sequence[int]) -> Batch:
        """A batch of `count` images in memory of its own."""
        return cls.in_buffer(shape, count, slots, memoryview(bytearray(buffer_bytes(shape, count, slots))))


def buffer_bytes(shape: Shape, count: int, slots: Sequence[int]) -> int:
    """How large a batch of `count` images of this shape is."""
    return sum(count * int(np.prod(rest)) * np.dtype(dtype).itemsize for dtype, rest in _layout(shape, slots))


def _layout(shape: Shape, slots: Sequence[int]) -> tuple[tuple[type[np.generic], tuple[int, ...]], ...]:
    return (
        (np.uint8, (shape.patches, 588)),
        (np.int16, (shape.tail,)),
        (np.int16, (shape.tail,)),
        (np.int16, (shape.cells, *slots)),
    )


def tail_arrays(
    prompt: Sequence[int], answer: Sequence[int], length: int
) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.int16]]:
    """Tokens after the image and their labels, int16 [length] each; an answer is cut where it does not fit."""
    answer = answer[: length - len(prompt)]
    tail = np.full(length, _PAD_ID, np.int16)
    labels = np.full(length, IGNORED, np.int16)
    tail[: len(prompt)] = prompt
    tail[len(prompt) : len(prompt) + len(answer)] = answer
    labels[len(prompt) - 1 : len(prompt) - 1 + len(answer)] = answer
    return tail, labels
