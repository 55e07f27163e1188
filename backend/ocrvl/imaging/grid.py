"""Which grid of patches an image is resized to: the checkpoint's pixel limits and the reference's arithmetic."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from pathlib import Path

from ocrvl.errors import InvalidArgument
from ocrvl.wire import Task

MAX_ASPECT_RATIO = 200
"""`smart_resize` of the model's own image processor (transformers, `paddleocr_vl`) raises above it."""

_SPOTTING_PIXELS = 1_605_632 / 1_003_520
"""Spotting reads at this many times the pixels of the other tasks (PaddleX, `paddleocr_vl` pipeline)."""

_SPOTTING_UPSCALE_BELOW = 1500
"""PaddleX doubles both sides of a spotting image when both are under this many pixels."""


@dataclass(frozen=True)
class PixelGrid:
    """How a checkpoint cuts images up, from its `preprocessor_config.json`.

    `patch_size` in pixels, `merge_size` in patches a side of one visual token, limits in pixels after resizing;
    `mean` and `std` per channel, for values in 0..1.
    """

    patch_size: int
    merge_size: int
    min_pixels: int
    max_pixels: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    @classmethod
    def from_checkpoint(cls, checkpoint: Path) -> PixelGrid:
        """Read `preprocessor_config.json`, in the spelling of transformers 4 (`min_pixels`) or 5 (`size`)."""
        raw = json.loads((checkpoint / "preprocessor_config.json").read_text("utf-8"))
        size = raw.get("size") or {}
        return cls(
            patch_size=raw.get("patch_size", 14),
            merge_size=raw.get("merge_size", 2),
            min_pixels=raw.get("min_pixels") or size.get("shortest_edge") or size["min_pixels"],
            max_pixels=raw.get("max_pixels") or size.get("longest_edge") or size["max_pixels"],
            mean=tuple(raw["image_mean"]),
            std=tuple(raw["image_std"]),
        )

    @property
    def factor(self) -> int:
        """Pixels a side of one visual token; resized sides are multiples of it."""
        return self.patch_size * self.merge_size

    def limited(self, task: Task, min_pixels: int | None, max_pixels: int | None) -> PixelGrid:
        """This grid with the limits of a task, where the request does not set its own.

        Raises `InvalidArgument` for limits that exclude each other, and where images would be enlarged beyond the
        most that the task reads otherwise: that shows no more detail, and lets a few bytes become any number of pixels.
        """
        upper = self.max_pixels
        if task is Task.SPOTTING:
            upper = round(upper * _SPOTTING_PIXELS)
        if min_pixels is not None and min_pixels > upper:
            raise InvalidArgument(f"options: min_pixels ({min_pixels}): images are enlarged to {upper} pixels at most")
        grid = replace(self, min_pixels=min_pixels or self.min_pixels, max_pixels=max_pixels or upper)
        if grid.min_pixels > grid.max_pixels:
            raise InvalidArgument(
                f"options: min_pixels ({grid.min_pixels}) is larger than max_pixels ({grid.max_pixels})"
            )
        return grid

    def resized_size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height, in pixels, that an image of this size is resized to: multiples of `factor`.

        The same numbers as `smart_resize` of the model's image processor in transformers. Raises
        `InvalidArgument` for an aspect ratio above `MAX_ASPECT_RATIO`.
        """
        factor = self.factor
        if height < factor:
            width, height = round(width * factor / height), factor
        if width < factor:
            width, height = factor, round(height * factor / width)
        ratio = max(width, height) / min(width, height)
        if ratio > MAX_ASPECT_RATIO:
            raise InvalidArgument(f"its aspect ratio is {ratio:.0f}, the model takes at most {MAX_ASPECT_RATIO}")
        new_height, new_width = round(height / factor) * factor, round(width / factor) * factor
        if new_height * new_width > self.max_pixels:
            shrink = math.sqrt(height * width / self.max_pixels)
            new_height = max(factor, math.floor(height / shrink / factor) * factor)
            new_width = max(factor, math.floor(width / shrink / factor) * factor)
        elif new_height * new_width < self.min_pixels:
            grow = math.sqrt(self.min_pixels / (height * width))
            new_height = math.ceil(height * grow / factor) * factor
            new_width = math.ceil(width * grow / factor) * factor
        return new_width, new_height


def upscaled_size(task: Task, width: int, height: int) -> tuple[int, int]:
    """The size an image is brought to before anything else: doubled for small spotting images."""
    if task is Task.SPOTTING and max(width, height) < _SPOTTING_UPSCALE_BELOW:
        return 2 * width, 2 * height
    return width, height
