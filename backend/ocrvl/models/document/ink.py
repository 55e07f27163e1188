"""What is printed on a page at all, for pages on which no blocks were found."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

_DIFFERENCE: Final = 32
"""Of 255, in any colour, from the page's ground: more than the noise of a scan, less than pale gray on white."""

_LEAST_SHARE: Final = 1e-5
"""Of a page's pixels: 20 of a letter page at 144 dots an inch, where a digit of 11 points has 60."""

_LEAST_PIXELS: Final = 4
_MARGIN: Final = 8
"""Pixels around what is printed, so that no letter touches the edge of its image."""

_EVERY: Final = 4
"""Of each so many rows and columns one is looked at for the ground."""

Box = tuple[int, int, int, int]


def find_ink(page: npt.NDArray[np.uint8]) -> Box | None:
    """Left, top, right, bottom of what is printed on a page, uint8 [height, width, 3]; None where it is blank.

    The ground is the colour that most of the page has, as far as a median tells.
    """
    height, width, _ = page.shape
    ground = np.median(page[::_EVERY, ::_EVERY].reshape(-1, 3), axis=0).astype(np.uint8)
    is_ink = differs(page, ground)
    if is_ink.sum() < max(_LEAST_PIXELS, _LEAST_SHARE * height * width):
        return None
    rows, columns = np.flatnonzero(is_ink.any(axis=1)), np.flatnonzero(is_ink.any(axis=0))
    left, top = max(columns[0] - _MARGIN, 0), max(rows[0] - _MARGIN, 0)
    right, bottom = min(columns[-1] + 1 + _MARGIN, width), min(rows[-1] + 1 + _MARGIN, height)
    return int(left), int(top), int(right), int(bottom)


def differs(page: npt.NDArray[np.uint8], ground: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Which pixels, bool [height, width], are not of the colour `ground`, uint8 [3]."""
    is_different = np.zeros(page.shape[:2], bool)
    for channel, colour in enumerate(ground.tolist()):
        plane = page[..., channel]
        is_different |= (plane > min(colour + _DIFFERENCE, 255)) | (plane < max(colour - _DIFFERENCE, 0))
    return is_different
