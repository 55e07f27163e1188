"""Prints laid-out text on an image, wears the image, and tells where every character stands."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from random import Random

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

from training.nano.fonts import Face


@dataclass(frozen=True)
class PlacedCharacter:
    """A character and its centre in the image, pixels from the top left; a gap's one space lies in its middle."""

    character: str
    x: float
    y: float


@dataclass(frozen=True)
class Drawing:
    """An RGB image, the text printed on it, and where its characters (all but newlines, in order) stand."""

    image: Image.Image
    text: str
    characters: tuple[PlacedCharacter, ...]

    def png(self) -> bytes:
        """The image as PNG."""
        buffer = io.BytesIO()
        self.image.save(buffer, "PNG")
        return buffer.getvalue()


@dataclass
class Row:
    """One row being laid out: runs of text with their left edges, and the row's baseline. Pixels."""

    face: Face
    baseline: float
    runs: list[tuple[float, str]] = field(default_factory=list)

    def add(self, x: float, text: str) -> None:
        """Place a text with its left edge at `x`, to the right of what is there."""
        if text:
            self.runs.append((x, text))


def paint(
    rng: Random | None,
    size: tuple[int, int],
    rows: Sequence[Row],
    rules: Sequence[tuple[float, float, float]],
    wear: float,
) -> Drawing:
    """Print laid-out rows and rules (left, y, right) on an image of `size`, dark on light; worn by `wear`."""
    mask = Image.new("L", size, 0)
    pen = ImageDraw.Draw(mask)
    texts: list[str] = []
    characters: list[PlacedCharacter] = []
    for row in rows:
        end = 0.0
        for place, (x, text) in enumerate(row.runs):
            x, baseline = round(x), round(row.baseline)
            middle = baseline - 0.35 * row.face.size
            pen.text((x, baseline), text, fill=255, font=row.face.font, anchor="ls")
            edges = row.face.edges(text)
            if place:
                characters.append(PlacedCharacter(" ", (end + x) / 2, middle))
            for character, left, right in zip(text, edges, edges[1:], strict=False):
                characters.append(PlacedCharacter(character, x + (left + right) / 2, middle))
            end = x + edges[-1]
        texts.append(" ".join(text for _, text in row.runs))
    for left, y, right in rules:
        pen.line((left, y, right, y), fill=200)
    image = colour(mask, rng, wear)
    return Drawing(image, "\n".join(texts), tuple(characters))


def colour(mask: Image.Image, rng: Random | None, wear: float) -> Image.Image:
    """The mask's ink on paper, worn: RGB."""
    if rng is None:
        return Image.eval(mask, lambda level: 255 - level).convert("RGB")
    if rng.random() < 0.35 * wear:
        mask = mask.filter(ImageFilter.GaussianBlur(rng.uniform(0.2, 0.8) * max(wear, 0.5)))
    paper = rng.choice((255, rng.uniform(215, 255)))
    ink = rng.choice((0, rng.uniform(0, 100)))
    tinted = rng.random() < 0.3
    light = [min(255.0, paper + tinted * rng.uniform(-12, 6)) for _ in range(3)]
    dark = [max(0.0, ink + tinted * rng.uniform(-30, 30)) for _ in range(3)]
    levels = np.linspace(0, 1, 256)[:, None]
    colours = np.rint(np.asarray(light) * (1 - levels) + np.asarray(dark) * levels).astype(np.uint8)
    image = Image.merge("RGB", [mask.point(colours[:, channel].tolist()) for channel in range(3)])
    if rng.random() < 0.4 * wear:
        image = _noisy(image, rng, rng.uniform(1, 9) * max(wear, 0.5))
    if rng.random() < 0.2 * wear:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=max(10, round(95 - rng.uniform(0, 45) * max(wear, 0.5))))
        image = Image.open(buffer).convert("RGB")
    return image


def _noisy(image: Image.Image, rng: Random, deviation: float) -> Image.Image:
    """The image with normal noise of a standard deviation in levels, the same in the three channels."""
    bank = noise_bank()
    width, height = image.size
    top, left = rng.randrange(bank.shape[0]), rng.randrange(bank.shape[1])
    rows, columns = (top + np.arange(height)) % bank.shape[0], (left + np.arange(width)) % bank.shape[1]
    noise = (bank[rows][:, columns].astype(np.float32) * (deviation / 32)).astype(np.int16)
    pixels = np.asarray(image).astype(np.int16) + noise[:, :, None]
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


@lru_cache(maxsize=1)
def noise_bank() -> npt.NDArray[np.int8]:
    """Normal noise of deviation 32, int8 [509, 521], cut and wrapped anew for each image: drawing it is slow."""
    noise = np.random.default_rng(0).standard_normal((509, 521)) * 32
    return np.clip(noise, -127, 127).astype(np.int8)
