"""`ocrvl.imaging.grid`: the arithmetic from an image's sides to its patches."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final

from ocrvl.errors import InvalidArgument
from ocrvl.imaging.grid import MAX_ASPECT_RATIO, PixelGrid, upscaled_size
from ocrvl.wire import Task
from stress.fuzz.target import Target

_GRID: Final = PixelGrid(14, 2, 112_896, 1_003_520, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
_FIELDS: Final = struct.Struct("<HHIIB")
_SIDES: Final = 65_500
_LEAST, _MOST = 784, 16_777_216
"""Pixels: `min_pixels` and `max_pixels` of the options."""


def check(data: bytes) -> None:
    """An image's grid is whole tokens, no more than asked for but for rounding; or the image is refused."""
    if len(data) < _FIELDS.size:
        return
    width, height, least, most, number = _FIELDS.unpack_from(data)
    sides = width % _SIDES + 1, height % _SIDES + 1
    task = list(Task)[number % len(Task)]
    limits = [_LEAST + limit % (_MOST - _LEAST + 1) if limit else None for limit in (least, most)]
    try:
        grid = _GRID.limited(task, *limits)
        new = grid.resized_size(*upscaled_size(task, *sides))
    except InvalidArgument:
        return
    assert all(side >= grid.factor and side % grid.factor == 0 for side in new)
    # a side is at least one token, and rounding up widens both sides by one at most
    assert new[0] * new[1] <= grid.max_pixels + grid.factor * (sum(new) + MAX_ASPECT_RATIO * grid.factor)
    assert max(new) <= (MAX_ASPECT_RATIO + 1) * 2 * min(new)


def seeds() -> Sequence[bytes]:
    """Ordinary sides, extreme ones, and extreme limits."""
    cases = ((800, 600, 0, 0), (0, 0, 0, 0), (65_499, 499, 0, 0), (13, 2_600, 0, 1), (1_000, 1_000, 16_000_000, 0))
    return [_FIELDS.pack(*case, task) for case in cases for task in range(len(Task))]


TARGET = Target(check, seeds, max_bytes=_FIELDS.size)
