"""Words to the model's tokens: window by window, with boxes on the model's scale, and pixels at its size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from ocrvl.models.fields.rows import arrange
from ocrvl.models.words import Word

SCALE: Final = 1000
"""LayoutLMv3 has boxes in thousandths of the image's width and height."""

_SHARED_TOKENS: Final = 96
"""Tokens at most that a window repeats of the one before it, so that no word is judged at an edge alone."""


@dataclass(frozen=True)
class SpecialTokens:
    """The ids of what begins, ends and pads a sequence."""

    begin: int
    end: int
    pad: int


@dataclass(frozen=True)
class Window:
    """A part of a receipt's words, for one pass.

    `ids` int64 [T] and `boxes` int64 [T, 4] of its tokens; the indices of its `words`, and the `places` of their first
    tokens.
    """

    ids: npt.NDArray[np.int64]
    boxes: npt.NDArray[np.int64]
    words: tuple[int, ...]
    places: tuple[int, ...]


def encode_words(
    words: Sequence[Word], size: tuple[int, int], tokenizer: Any, special: SpecialTokens, max_tokens: int
) -> list[Window]:
    """The windows of a receipt of `size` (width, height), each of `max_tokens` tokens at most.

    Whole rows, from the top; each window but the first begins with the last rows of the one before. A row that does not
    fit a window is split, and of a single word only as many tokens as fit are kept.
    """
    room = max_tokens - 2
    order = [[index for line in row for index in line.words] for row in arrange(words)]
    texts = [words[index].text for row in order for index in row]
    encoded = tokenizer.encode(texts, is_pretokenized=True, add_special_tokens=False)
    tokens: list[list[int]] = [[] for _ in texts]
    for token, place in zip(encoded.ids, encoded.word_ids, strict=True):
        if len(tokens[place]) < room:
            tokens[place].append(token)
    boxes = scale_boxes(words, size)
    flat = iter(tokens)
    rows = [[(index, next(flat)) for index in row] for row in order]
    return [_window(part, boxes, special) for part in _parts(rows, room)]


def scale_boxes(words: Sequence[Word], size: tuple[int, int]) -> npt.NDArray[np.int64]:
    """The boxes in thousandths of the image, [N, 4]."""
    width, height = size
    boxes = np.array([word.box for word in words], np.float64).reshape(-1, 4)
    scaled: npt.NDArray[np.int64] = np.clip(
        (boxes * (SCALE / np.array([width, height, width, height]))).astype(np.int64), 0, SCALE
    )
    return scaled


def scale_pixels(pixels: npt.NDArray[np.uint8] | None, side: int) -> npt.NDArray[np.float32]:
    """An RGB image [H, W, 3] as the model sees it, [3, side, side] from -1 to 1; zeros for none."""
    if pixels is None:
        return np.zeros((3, side, side), np.float32)
    image = Image.fromarray(pixels).resize((side, side), Image.Resampling.BILINEAR, reducing_gap=2.0)
    return (np.asarray(image, np.float32).transpose(2, 0, 1) / 127.5 - 1.0).astype(np.float32)


_Row = list[tuple[int, list[int]]]
"""The words of a row, each with its tokens."""


def _parts(rows: Sequence[_Row], room: int) -> Iterator[_Row]:
    """The words of each window."""
    part: list[_Row] = []
    length = 0
    for row in (piece for whole in rows for piece in _pieces(whole, room)):
        size = sum(len(tokens) for _, tokens in row)
        if part and length + size > room:
            yield [word for kept in part for word in kept]
            part = _tail(part, min(_SHARED_TOKENS, room - size))
            length = sum(len(tokens) for kept in part for _, tokens in kept)
        part.append(row)
        length += size
    if part:
        yield [word for kept in part for word in kept]


def _pieces(row: _Row, room: int) -> Iterator[_Row]:
    """A row in pieces that fit a window."""
    piece: _Row = []
    length = 0
    for word in row:
        if piece and length + len(word[1]) > room:
            yield piece
            piece, length = [], 0
        piece.append(word)
        length += len(word[1])
    yield piece


def _tail(rows: Sequence[_Row], room: int) -> list[_Row]:
    """The last rows that have at most so many tokens."""
    kept: list[_Row] = []
    for row in reversed(rows):
        room -= sum(len(tokens) for _, tokens in row)
        if room < 0:
            break
        kept.insert(0, row)
    return kept


def _window(part: _Row, boxes: npt.NDArray[np.int64], special: SpecialTokens) -> Window:
    counts = [len(tokens) for _, tokens in part]
    ids = [special.begin, *(token for _, tokens in part for token in tokens), special.end]
    outside = np.zeros((1, 4), np.int64)
    of_words = np.repeat(boxes[[index for index, _ in part]], counts, axis=0)
    # a word of no token (nothing that the vocabulary has) gets the label of what stands at its place
    places = np.minimum(1 + np.concatenate(([0], np.cumsum(counts)[:-1])), len(ids) - 1)
    return Window(
        np.array(ids, np.int64),
        np.concatenate((outside, of_words, outside)),
        tuple(index for index, _ in part),
        tuple(places.tolist()),
    )
