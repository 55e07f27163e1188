"""`ocrvl.models.document.ink`: where something is printed on a page."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw

from ocrvl.models.document.ink import find_ink


@pytest.mark.parametrize(
    ("marks", "ink"),
    [
        ([], None),
        ([(0, 0, 1, 1)], None),
        ([(100, 50, 104, 56)], (92, 42, 113, 65)),
        ([(0, 0, 3, 3), (590, 790, 599, 799)], (0, 0, 600, 800)),
    ],
    ids=["blank", "a speck", "a digit", "corners"],
)
@pytest.mark.parametrize("ground", [255, 200, 10])
def test_ink_is_what_differs_from_the_ground(
    ground: int, marks: list[tuple[int, int, int, int]], ink: tuple[int, int, int, int] | None
) -> None:
    noise = np.random.default_rng(1).integers(-8, 9, (800, 600, 1))
    image = Image.fromarray(np.clip(np.full((800, 600, 3), ground) + noise, 0, 255).astype(np.uint8))
    for mark in marks:
        ImageDraw.Draw(image).rectangle(mark, fill=(255 - ground, 120, 90))
    assert find_ink(np.asarray(image)) == ink
