"""Drawn images of many sizes: lines, receipts and paragraphs, as PNG and JPEG files."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

from PIL import Image

from ocrvl.imaging.grid import PixelGrid
from training.nano.world import Drawing, World

_PARAGRAPH_SIZES = ((140, 90), (223, 117), (280, 280), (300, 199), (421, 97), (97, 421), (500, 60), (61, 350))
"""Width and height in pixels: multiples of a visual token's 28 pixels and not, flat and tall."""

_RECEIPT_SIZES = ((240, 320), (333, 211), (180, 400))

_TINY_SIZES = ((40, 26), (20, 20), (64, 13), (9, 60), (57, 55))
"""Under the fewest pixels of every checkpoint, some with a side under one visual token."""

_HUGE_SHAPES = ((1.25, 1.7), (2.9, 0.6))
"""Width and height over the side of the largest square that is taken whole."""


@dataclass(frozen=True)
class Sample:
    """One image: what it is, as people say it, and its encoded bytes."""

    name: str
    data: bytes


def draw_samples(grid: PixelGrid, seed: int) -> list[Sample]:
    """28 images, the same for the same seed; some under `grid`'s fewest pixels and some above its most."""
    world = World(Random(seed))
    samples = []
    for index, (kind, drawing) in enumerate(_draw(grid, world)):
        name, data = _encode(drawing.image, index)
        width, height = drawing.image.size
        samples.append(Sample(f"{index:02} {kind} {width}x{height} {name}", data))
    return samples


def _draw(grid: PixelGrid, world: World) -> Iterator[tuple[str, Drawing]]:
    for _ in range(5):
        yield "line", world.line()
    for lines in (3, 5, 8):
        yield "receipt", world.receipt(lines)
    for size in _RECEIPT_SIZES:
        yield "receipt", world.receipt(size=size)
    for size in _PARAGRAPH_SIZES:
        yield "paragraph", world.paragraph(size)
    for size in _TINY_SIZES:
        yield "tiny", world.line(size=size)
    # aspect ratios towards the 200 that the model takes at most
    yield "ribbon", world.line(size=(4000, 24))
    yield "ribbon", world.line(size=(22, 1500))
    side = math.sqrt(grid.max_pixels)
    for wide, high in _HUGE_SHAPES:
        yield "huge", world.paragraph((round(wide * side), round(high * side)))


def _encode(image: Image.Image, index: int) -> tuple[str, bytes]:
    """The image's file, in one of four kinds that take turns; JPEG loses, but both sides read the same bytes."""
    kinds: tuple[tuple[str, Image.Image, dict[str, Any]], ...] = (
        ("png", image, {}),
        ("jpeg", image, {"quality": 90}),
        ("gray png", image.convert("L"), {}),
        ("progressive jpeg", image, {"quality": 60, "progressive": True}),
    )
    name, image, options = kinds[index % len(kinds)]
    buffer = io.BytesIO()
    image.save(buffer, name.split()[-1], **options)
    return name, buffer.getvalue()
