"""`ocrvl.models.receipt.lines`: in which order lines are read, and what is cut out of the image for each."""

from __future__ import annotations

import math

import numpy as np
import pytest
from PIL import Image, ImageDraw

from ocrvl.models.receipt.lines import Quad, bounding_box, cut_out, order_lines

Place = tuple[float, float, float, float]


def quad(box: Place, angle: float = 0.0) -> Quad:
    """The corners of a box, turned about the origin."""
    left, top, right, bottom = box
    cosine, sine = math.cos(angle), math.sin(angle)
    corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
    return np.array([(x * cosine - y * sine, x * sine + y * cosine) for x, y in corners], np.float32)


ROWS: list[Place] = [
    *[(120, 10, 280, 30)],
    *[(10, 50, 150, 70), (300, 52, 380, 71)],
    *[(12, 90, 140, 110), (310, 88, 390, 109)],
    *[(10, 130, 60, 150), (130, 131, 190, 150), (310, 132, 390, 151)],
]


@pytest.mark.parametrize("degrees", [0, 4, -6, 15])
def test_lines_are_in_rows_from_left_to_right_however_the_receipt_lies(degrees: float) -> None:
    turned = [quad(box, math.radians(degrees)) for box in ROWS]
    shuffled = [turned[place] for place in (5, 2, 7, 0, 3, 6, 1, 4)]
    assert [[id(one) for one in turned].index(id(one)) for one in order_lines(shuffled)] == list(range(8))


def test_no_lines_have_no_order() -> None:
    assert order_lines([]) == []


def test_a_box_stays_within_the_image() -> None:
    assert bounding_box(quad((-5, 3, 120, 40)), (100, 30)) == (0, 3, 100, 30)


def test_a_level_line_is_cut_out_as_it_lies() -> None:
    pixels = np.arange(40 * 60 * 3, dtype=np.uint32).astype(np.uint8).reshape(40, 60, 3)
    np.testing.assert_array_equal(cut_out(pixels, quad((10, 5, 50, 25))), pixels[5:25, 10:50])


@pytest.mark.parametrize("box", [(59, 39, 60, 40), (60, 40, 60, 40), (61, 41, 70, 50), (-3, -3, 0, 0)])
def test_what_is_cut_out_is_never_empty(box: Place) -> None:
    pixels = np.zeros((41, 61, 3), np.uint8)
    assert cut_out(pixels, quad(box)).size


def test_a_line_that_lies_askew_is_turned_upright() -> None:
    image = Image.new("RGB", (400, 400), "white")
    corners = quad((150, 40, 350, 70), math.radians(20))
    ImageDraw.Draw(image).polygon([tuple(corner) for corner in corners.tolist()], fill="black")
    upright = cut_out(np.asarray(image), corners)
    assert upright.shape == (30, 200, 3)
    assert upright[2:-2, 2:-2].max() < 40
