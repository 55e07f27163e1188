"""What each word is: LayoutLMv3's token classification over windows of words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from ocrvl.models.fields.encoding import SpecialTokens, Window, encode_words, scale_pixels
from ocrvl.models.fields.groups import Judged
from ocrvl.models.fields.labels import Label
from ocrvl.models.words import Word

_BATCH: Final = 8
"""Windows that go through the network together."""


@dataclass(frozen=True)
class WordsOnImage:
    """A receipt as the model takes it.

    `size` is the width and height of what the words' boxes are within; `pixels` the image in RGB, uint8 [height, width,
    3], if there is one.
    """

    words: Sequence[Word]
    size: tuple[int, int]
    pixels: npt.NDArray[np.uint8] | None


class Network(Protocol):
    """A token classifier: its inputs by LayoutLMv3's names to logits, float32 [B, T, labels]."""

    def __call__(self, inputs: Mapping[str, npt.NDArray[Any]]) -> npt.NDArray[np.float32]:
        """One pass."""


@dataclass(frozen=True)
class Classifier:
    """A network with what belongs to it: `labels` by the numbers of its outputs, `side` the pixels of its image."""

    network: Network
    tokenizer: Any
    special: SpecialTokens
    labels: tuple[Label, ...]
    max_tokens: int
    side: int

    def judge(self, receipts: Sequence[WordsOnImage]) -> list[list[Judged]]:
        """What every word of every receipt is, in the order of its words."""
        windows = [
            (number, window)
            for number, one in enumerate(receipts)
            for window in encode_words(one.words, one.size, self.tokenizer, self.special, self.max_tokens)
        ]
        # like lengths together: what is shorter than the longest of a batch is padded
        windows.sort(key=lambda entry: len(entry[1].ids))
        pixels = [scale_pixels(one.pixels, self.side) for one in receipts]
        judged: list[dict[int, tuple[int, Judged]]] = [{} for _ in receipts]
        for start in range(0, len(windows), _BATCH):
            batch = windows[start : start + _BATCH]
            logits = self.network(
                self._inputs([window for _, window in batch], [pixels[number] for number, _ in batch])
            )
            for (number, window), row in zip(batch, logits, strict=True):
                self._keep(judged[number], window, row)
        return [[found[index][1] for index in range(len(found))] for found in judged]

    def _inputs(
        self, windows: Sequence[Window], pixels: Sequence[npt.NDArray[np.float32]]
    ) -> dict[str, npt.NDArray[Any]]:
        longest = max(len(window.ids) for window in windows)
        ids = np.full((len(windows), longest), self.special.pad, np.int64)
        boxes = np.zeros((len(windows), longest, 4), np.int64)
        mask = np.zeros((len(windows), longest), np.int64)
        for row, window in enumerate(windows):
            length = len(window.ids)
            ids[row, :length], boxes[row, :length], mask[row, :length] = window.ids, window.boxes, 1
        return {"input_ids": ids, "bbox": boxes, "attention_mask": mask, "pixel_values": np.stack(pixels)}

    def _keep(self, found: dict[int, tuple[int, Judged]], window: Window, logits: npt.NDArray[np.float32]) -> None:
        """The word's first token says what it is; of two windows with a word, the one in which it is farther inside."""
        first = logits[list(window.places)].astype(np.float64)
        first = np.exp(first - first.max(axis=-1, keepdims=True))
        shares = first / first.sum(axis=-1, keepdims=True)
        for place, (index, share) in enumerate(zip(window.words, shares, strict=True)):
            inside = min(place, len(window.words) - 1 - place)
            if index not in found or inside > found[index][0]:
                best = int(share.argmax())
                found[index] = (inside, Judged(self.labels[best], float(share[best])))
