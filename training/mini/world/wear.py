"""Ink to an image: worn, then coloured; all but the colours on one channel, since drawing must keep up with a GPU."""

from __future__ import annotations

import io
from functools import lru_cache
from random import Random

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from training.nano.paint import noise_bank

Colour = tuple[float, float, float]


def finish(ink: Image.Image, rng: Random, wear: float, stain: Colour | None = None) -> npt.NDArray[np.uint8]:
    """Ink as an image, uint8 [height, width, 3]; `stain` is the ink's colour where it is not left to chance."""
    if rng.random() < 0.3 * wear:
        ink = ink.filter(ImageFilter.GaussianBlur(rng.uniform(0.2, 0.7) * max(wear, 0.5)))
    if rng.random() < 0.12 * wear:
        ink = _compressed(ink, round(max(20, 95 - rng.uniform(0, 50) * wear)))
    levels = np.asarray(ink)
    if rng.random() < 0.35 * wear:
        levels = _noisy(levels, rng, rng.uniform(2, 12) * max(wear, 0.5))
    if rng.random() < 0.12 * wear:
        levels = _uneven(levels, rng)
    paper, dark = _colours(rng, stain)
    steps = np.linspace(0, 1, 256)[:, None]
    table = np.clip(np.rint(np.asarray(paper) * (1 - steps) + np.asarray(dark) * steps), 0, 255).astype(np.uint8)
    image: npt.NDArray[np.uint8] = table[levels]
    return image


def _colours(rng: Random, stain: Colour | None) -> tuple[Colour, Colour]:
    """Paper and ink: black on white most often, tinted, or light on dark one time in six."""
    if rng.random() < 0.35:
        paper, ink = (255.0, 255.0, 255.0), (0.0, 0.0, 0.0)
    else:
        light, dark = rng.uniform(205, 255), rng.uniform(0, 90)
        tint = rng.uniform(0, 30) if rng.random() < 0.5 else 0
        paper = tuple(max(150.0, light - rng.random() * tint) for _ in range(3))  # type: ignore[assignment]
        hue = rng.uniform(0, 70) if rng.random() < 0.4 else 0
        ink = tuple(min(140.0, dark + rng.random() * hue) for _ in range(3))  # type: ignore[assignment]
    if stain is not None:
        return paper, stain
    return (ink, paper) if rng.random() < 0.16 else (paper, ink)


def _noisy(levels: npt.NDArray[np.uint8], rng: Random, deviation: float) -> npt.NDArray[np.uint8]:
    bank = noise_bank()
    height, width = levels.shape
    rows = (rng.randrange(bank.shape[0]) + np.arange(height)) % bank.shape[0]
    columns = (rng.randrange(bank.shape[1]) + np.arange(width)) % bank.shape[1]
    noise = bank[rows][:, columns].astype(np.int16) * round(deviation * 4) >> 7
    out: npt.NDArray[np.uint8] = np.clip(levels.astype(np.int16) * 15 // 16 + 8 + noise, 0, 255).astype(np.uint8)
    return out


def _uneven(levels: npt.NDArray[np.uint8], rng: Random) -> npt.NDArray[np.uint8]:
    """Shadow that grows across the paper, ink left as it is."""
    height, width = levels.shape
    across = np.linspace(rng.uniform(0, 60), rng.uniform(0, 60), width)[None, :]
    down = np.linspace(rng.uniform(0, 40), rng.uniform(0, 40), height)[:, None]
    shadow = (across + down).astype(np.uint8)
    out: npt.NDArray[np.uint8] = np.maximum(levels, shadow)
    return out


def _compressed(ink: Image.Image, quality: int) -> Image.Image:
    file = io.BytesIO()
    ink.save(file, "JPEG", quality=quality)
    return Image.open(file).convert("L")


@lru_cache(maxsize=1)
def stains() -> tuple[Colour, ...]:
    """Colours of seals."""
    return ((200.0, 30.0, 40.0), (170.0, 20.0, 60.0), (30.0, 50.0, 170.0), (60.0, 20.0, 140.0), (20.0, 110.0, 60.0))
