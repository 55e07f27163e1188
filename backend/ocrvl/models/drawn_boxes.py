"""What was found on an image, drawn on it: boxes with labels, as a JPEG file."""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

_JPEG_QUALITY = 90


@dataclass(frozen=True)
class LabelledBox:
    """A box, left, top, right, bottom in pixels, of a `kind` that has a colour of its own, with its `label`."""

    box: tuple[float, float, float, float]
    kind: str
    label: str


def draw_boxes(pixels: npt.NDArray[np.uint8], boxes: Iterable[LabelledBox]) -> bytes:
    """An image, uint8 [height, width, 3], as a JPEG file with boxes and their labels on it."""
    image = Image.fromarray(pixels)
    pen = ImageDraw.Draw(image)
    width = max(2, round(min(image.size) / 500))
    for one in boxes:
        left, top, _, _ = one.box
        colour = _colour(one.kind)
        pen.rectangle(one.box, outline=colour, width=width)
        place = pen.textbbox((left, max(0, top - 6 * width)), one.label, font_size=6 * width)
        pen.rectangle(place, fill=colour)
        pen.text(place[:2], one.label, fill="white", font_size=6 * width)
    return encode_jpeg(image)


def encode_jpeg(image: Image.Image) -> bytes:
    """An image as a JPEG file."""
    file = io.BytesIO()
    image.convert("RGB").save(file, "JPEG", quality=_JPEG_QUALITY)
    return file.getvalue()


def _colour(kind: str) -> tuple[int, int, int]:
    """A dark colour of the kind's own, the same in every process."""
    seed = sum((place + 1) * ord(character) for place, character in enumerate(kind))
    red, green, blue = (37 * seed) % 160, (91 * seed) % 140, (53 * seed) % 180
    return red, green, blue
