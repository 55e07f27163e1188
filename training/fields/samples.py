"""Drawn receipts to what the model is trained on: noisy words, boxes as they are known when serving, pixels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ocrvl.models.fields.encoding import Window, encode_words, scale_pixels
from ocrvl.models.fields.labels import Label
from ocrvl.models.words import Box, Word
from training.fields.architecture import MAX_TOKENS, SIDE, SPECIAL
from training.fields.world import DrawnReceipt

IGNORED: Final = -100
_LABELS: Final = list(Label)
_LOOKALIKES: Final = dict(zip("O0Il1S5B8Z2G6cea,.mrnuvE3", "0O1I7558328e6ceo.,nmmrvu3E", strict=False))


@dataclass(frozen=True)
class Sample:
    """One window: `ids` int64 [T], `boxes` int64 [T, 4], `labels` int64 [T], `pixels` float32 [3, S, S].

    `on_band` int64 [T] is 1 for tokens on a coloured band and 0 for others, `IGNORED` where the image is blank.
    """

    ids: npt.NDArray[np.int64]
    boxes: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64]
    on_band: npt.NDArray[np.int64]
    pixels: npt.NDArray[np.float32]


def draw_sample(rng: Random, receipt: DrawnReceipt, tokenizer: Any) -> Sample:
    """A receipt as training sees it.

    Boxes are true or split from lines, and moved a little; some words are misread; now and then there are no pixels.
    """
    words = list(receipt.words) if rng.random() < 0.4 else receipt.split_words()
    words = misread_words(rng, shake_boxes(rng, words, receipt.image.size), rng.choice((0.0, 0.03, 0.06)))
    windows = encode_words(words, receipt.image.size, tokenizer, SPECIAL, MAX_TOKENS)
    window = rng.choice(windows)
    is_blank = rng.random() < 0.1
    pixels = None if is_blank else np.asarray(receipt.image)
    labels = label_tokens(window, [_LABELS.index(label) for label in receipt.labels])
    on_band = label_tokens(window, [IGNORED if is_blank else int(is_on_band) for is_on_band in receipt.on_band])
    return Sample(window.ids, window.boxes, labels, on_band, scale_pixels(pixels, SIDE))


def label_tokens(window: Window, of_words: Sequence[int]) -> npt.NDArray[np.int64]:
    """The number of its word for every token; `IGNORED` for what begins and ends."""
    tokens = np.full(len(window.ids), IGNORED, np.int64)
    ends = (*window.places[1:], len(window.ids) - 1)
    for word, start, end in zip(window.words, window.places, ends, strict=True):
        tokens[start:end] = of_words[word]
    return tokens


def shake_boxes(rng: Random, words: Sequence[Word], size: tuple[int, int]) -> list[Word]:
    """The words with boxes that a detector might have found.

    Those of each line are a little larger or smaller, and the paper lies a little askew.
    """
    slope = math.tan(math.radians(rng.gauss(0, 0.4)))
    moved: dict[int, tuple[float, ...]] = {}
    shaken = []
    for word in words:
        if word.line not in moved:
            height = word.box[3] - word.box[1]
            moved[word.line] = tuple(rng.uniform(-0.12, 0.2) * height for _ in range(4))
        left, top, right, bottom = moved[word.line]
        lift = slope * (word.box[0] - size[0] / 2)
        box = (word.box[0] - left, word.box[1] + lift - top, word.box[2] + right, word.box[3] + lift + bottom)
        shaken.append(Word(word.text, _within(box, size), word.line))
    return shaken


def misread_words(rng: Random, words: Sequence[Word], share: float) -> list[Word]:
    """About so many of the words with one character wrong, lost or added."""
    return [Word(_misread(rng, word.text), word.box, word.line) if rng.random() < share else word for word in words]


def _misread(rng: Random, text: str) -> str:
    place = rng.randrange(len(text))
    before, character, after = text[:place], text[place], text[place + 1 :]
    form = rng.random()
    if form < 0.5:
        return before + _LOOKALIKES.get(character, rng.choice("aeinrst1.,")) + after
    if form < 0.8 and len(text) > 1:
        return before + after
    return before + character + rng.choice((character, ".", "'", "i")) + after


def _within(box: Box, size: tuple[int, int]) -> Box:
    width, height = size
    left, top = min(max(box[0], 0), width - 1), min(max(box[1], 0), height - 1)
    return left, top, min(max(box[2], left + 1), width), min(max(box[3], top + 1), height)
