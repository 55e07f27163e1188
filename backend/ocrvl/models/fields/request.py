"""A request of `fields`, checked: its words, and the image they stand in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from ocrvl.errors import InvalidArgument
from ocrvl.messages import Array, decode_texts
from ocrvl.models.fields.classifier import WordsOnImage
from ocrvl.models.words import Word
from ocrvl.triton.context import TensorReader
from ocrvl.wire import Tensor

_MAX_CHARACTERS: Final = 256
"""Of one word: the longest that is printed has far fewer, and what is longer is no word."""

_MARGIN: Final = 1.0
"""Pixels by which a box may reach beyond the image: what a detector rounds."""

_MAX_SIDE: Final = 1_000_000


@dataclass(frozen=True)
class Limits:
    """What one request may be."""

    max_words: int
    max_pixels: int


def decode_request(read: TensorReader, limits: Limits) -> WordsOnImage:
    """The request's words and image. Raises `InvalidArgument` that names the tensor, and the word where it is one.

    Boxes are within `size`, which is that of the pixels unless it is given: these may be of a reduced image.
    """
    texts = _texts(read(Tensor.WORDS), limits.max_words)
    pixels = _pixels(read.optional(Tensor.PIXELS), limits.max_pixels)
    size = _size(read.optional(Tensor.SIZE), pixels)
    boxes = _boxes(_unbatched(read(Tensor.BOX), Tensor.BOX, 2), len(texts), size)
    lines = _unbatched(read(Tensor.LINE), Tensor.LINE, 1)
    if len(lines) != len(texts):
        raise InvalidArgument(f"{Tensor.LINE}: {len(lines)} for {len(texts)} {Tensor.WORDS}, expected as many")
    if (lines < 0).any():
        raise InvalidArgument(f"{Tensor.LINE} {int(np.argmax(lines < 0))}: {int(lines.min())}, expected 0 or more")
    words = [
        Word(text, (box[0], box[1], box[2], box[3]), line)
        for text, box, line in zip(texts, boxes.tolist(), lines.tolist(), strict=True)
    ]
    return WordsOnImage(words, size, pixels)


def _texts(array: Array, most: int) -> list[str]:
    words = _unbatched(array, Tensor.WORDS, 1)
    if len(words) > most:
        raise InvalidArgument(f"{Tensor.WORDS}: {len(words)} words, at most {most} are taken")
    texts = [text.strip() for text in decode_texts(words, Tensor.WORDS)]
    for index, text in enumerate(texts):
        if not text:
            raise InvalidArgument(f"{Tensor.WORDS} {index}: empty, expected a word")
        if len(text) > _MAX_CHARACTERS:
            raise InvalidArgument(
                f"{Tensor.WORDS} {index}: {len(text)} characters, at most {_MAX_CHARACTERS} are taken"
            )
    return texts


def _pixels(array: Array | None, most: int) -> npt.NDArray[np.uint8] | None:
    if array is None:
        return None
    if array.ndim != 4 or array.shape[0] != 1 or array.shape[3] != 3 or not all(array.shape):
        raise InvalidArgument(f"{Tensor.PIXELS}: shape {list(array.shape)}, expected [1, height, width, 3]")
    if array.shape[1] * array.shape[2] > most:
        raise InvalidArgument(f"{Tensor.PIXELS}: {array.shape[2]}x{array.shape[1]}, at most {most} pixels are taken")
    pixels: npt.NDArray[np.uint8] = array[0]
    return pixels


def _size(array: Array | None, pixels: npt.NDArray[np.uint8] | None) -> tuple[int, int]:
    """Width and height of what the boxes are within."""
    of_pixels = None if pixels is None else (pixels.shape[1], pixels.shape[0])
    if array is None:
        if of_pixels is None:
            raise InvalidArgument(f"expected either {Tensor.PIXELS} or {Tensor.SIZE}, the image's width and height")
        return of_pixels
    if array.shape != (1, 2):
        raise InvalidArgument(f"{Tensor.SIZE}: shape {list(array.shape)}, expected [1, 2]")
    width, height = array[0].tolist()
    if not (1 <= width <= _MAX_SIDE and 1 <= height <= _MAX_SIDE):
        raise InvalidArgument(f"{Tensor.SIZE}: {width}x{height}, expected a width and a height of 1 to {_MAX_SIDE}")
    return width, height


def _boxes(boxes: Array, count: int, size: tuple[int, int]) -> npt.NDArray[np.float64]:
    """Within the image, float64 [N, 4]."""
    if boxes.shape != (count, 4):
        raise InvalidArgument(
            f"{Tensor.BOX}: shape {list(boxes.shape)} for {count} {Tensor.WORDS}, expected [{count}, 4]"
        )
    sides = boxes.astype(np.float64)
    limits = np.array([*size, *size], np.float64)
    with np.errstate(invalid="ignore"):
        problems = (
            (~np.isfinite(sides).all(axis=1), "is no box"),
            ((sides[:, 0] > sides[:, 2]) | (sides[:, 1] > sides[:, 3]), "ends before it begins"),
            (
                (sides < -_MARGIN).any(axis=1) | (sides > limits + _MARGIN).any(axis=1),
                f"reaches out of the image of {size[0]}x{size[1]}",
            ),
        )
    for wrong, what in problems:
        if wrong.any():
            index = int(np.argmax(wrong))
            raise InvalidArgument(f"{Tensor.BOX} {index}: {sides[index].tolist()} {what} (left, top, right, bottom)")
    inside: npt.NDArray[np.float64] = np.clip(sides, 0.0, limits)
    return inside


def _unbatched(array: Array, name: Tensor, dims: int) -> Array:
    if array.ndim != dims + 1 or array.shape[0] != 1:
        raise InvalidArgument(f"{name}: shape {list(array.shape)}, expected a leading 1 and {dims} dimensions")
    unbatched: Array = array[0]
    return unbatched
