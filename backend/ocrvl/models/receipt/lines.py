"""Lines of text on an image: their order, their boxes, and each cut out of the image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from ocrvl.models.words import Box
from ocrvl.wire import FinishReason

Pixels = npt.NDArray[np.uint8]
"""An image in RGB: uint8 [height, width, 3]."""

Quad = npt.NDArray[np.float32]
"""The corners of a line, from the top left clockwise, in pixels: float32 [4, 2]."""

_LEVEL: Final = 0.15
"""How much of its height a line may rise over its length and still be cut out as it lies."""

_LONG: Final = 3.0
"""Times its height, from which on a line's own direction is that of the receipt's lines."""

_SAME_ROW: Final = 0.5
"""Times the height of a line: nearer than this to the one before it in height it stands beside it."""


@dataclass(frozen=True)
class Line:
    """A line that was read: `text` is empty where that failed, which `error` then says."""

    text: str
    box: Box
    finish_reason: FinishReason = FinishReason.STOP
    error: str = ""


def order_lines(quads: Sequence[Quad]) -> list[Quad]:
    """From top to bottom, and from left to right what stands in one row, also where the receipt lies askew."""
    if not quads:
        return []
    centres = _straightened(quads)
    heights = [_height(quad) for quad in quads]
    by_height = sorted(range(len(quads)), key=lambda index: float(centres[index, 1]))
    rows: list[list[int]] = []
    for index in by_height:
        last = rows[-1][-1] if rows else None
        if last is not None and centres[index, 1] - centres[last, 1] < _SAME_ROW * min(heights[index], heights[last]):
            rows[-1].append(index)
        else:
            rows.append([index])
    return [quads[index] for row in rows for index in sorted(row, key=lambda index: float(centres[index, 0]))]


def bounding_box(quad: Quad, size: tuple[int, int]) -> Box:
    """The box around a line, within an image of this width and height."""
    (left, top), (right, bottom) = quad.min(axis=0), quad.max(axis=0)
    width, height = size
    return (
        float(np.clip(left, 0, width)),
        float(np.clip(top, 0, height)),
        float(np.clip(right, 0, width)),
        float(np.clip(bottom, 0, height)),
    )


def cut_out(pixels: Pixels, quad: Quad) -> Pixels:
    """A line as an image of its own, upright where it lies askew."""
    rise = max(abs(float(quad[1, 1] - quad[0, 1])), abs(float(quad[2, 1] - quad[3, 1])))
    height, width, _ = pixels.shape
    if rise > _LEVEL * _height(quad):
        return _turned(pixels, quad)
    left, top, right, bottom = (round(side) for side in bounding_box(quad, (width, height)))
    # at least a pixel, also of what lies at the edge
    left, top = min(left, width - 1), min(top, height - 1)
    return pixels[top : max(top + 1, bottom), left : max(left + 1, right)]


def _turned(pixels: Pixels, quad: Quad) -> Pixels:
    import cv2

    width, height = max(1, round(_width(quad))), max(1, round(_height(quad)))
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    transform = cv2.getPerspectiveTransform(quad, corners)
    turned = cv2.warpPerspective(
        pixels, transform, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(turned, np.uint8)


def _straightened(quads: Sequence[Quad]) -> npt.NDArray[np.float64]:
    """The lines' centres, [N, 2], turned back by the direction in which most of the long ones run."""
    centres = np.array([quad.mean(axis=0) for quad in quads], np.float64)
    long = [quad[1] - quad[0] for quad in quads if _width(quad) > _LONG * _height(quad)]
    angle = float(np.median([np.arctan2(y, x) for x, y in long])) if long else 0.0
    cosine, sine = np.cos(angle), np.sin(angle)
    straightened: npt.NDArray[np.float64] = centres @ np.array([[cosine, -sine], [sine, cosine]])
    return straightened


def _width(quad: Quad) -> float:
    return float(max(np.linalg.norm(quad[1] - quad[0]), np.linalg.norm(quad[2] - quad[3])))


def _height(quad: Quad) -> float:
    return float(max(np.linalg.norm(quad[3] - quad[0]), np.linalg.norm(quad[2] - quad[1])))
