"""The size classes that are measured, and images of them."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Final

import numpy as np
from PIL import Image


@dataclass(frozen=True)
class Size:
    """Pixels of an image and output tokens of its text."""

    width: int
    height: int
    tokens: int


SIZES: Final = {
    "line": Size(1100, 84, 30),
    "receipt": Size(448, 672, 150),
    "page": Size(840, 1190, 1000),
    "small": Size(640, 360, 512),
    "hd": Size(1920, 1080, 128),
}
"""0.1, 0.3 and 1 million pixels; and two for which SGLang has published figures on an H200 (its pull request 35318)."""


IMAGES: Final = 64
"""Different ones of a size."""


def draw_images(size: Size, count: int = IMAGES) -> list[bytes]:
    """JPEG files of noise that compresses as pages do: smooth at first, then sharpened by scaling."""
    files = []
    for number in range(count):
        noise = np.random.default_rng(number).integers(0, 256, (size.height // 6, size.width // 6, 3), np.uint8)
        file = io.BytesIO()
        Image.fromarray(noise).resize((size.width, size.height)).save(file, "JPEG", quality=85)
        files.append(file.getvalue())
    return files
