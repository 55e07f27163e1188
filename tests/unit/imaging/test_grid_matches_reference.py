"""Images are resized to the sizes that the model's own image processor chooses."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from transformers.models.paddleocr_vl.image_processing_pil_paddleocr_vl import smart_resize

from ocrvl.errors import InvalidArgument
from ocrvl.imaging.grid import PixelGrid

LIMITS = [(112_896, 1_003_520), (112_896, 1_605_632), (147_456, 2_359_296), (3_136, 401_408), (784, 784)]
"""Fewest and most pixels: PaddleOCR-VL, its spotting, transformers' defaults, nano, one visual token."""

sides = st.one_of(st.integers(1, 60), st.integers(1, 4_000), st.integers(1, 65_500))


def pixel_grid(limits: tuple[int, int]) -> PixelGrid:
    return PixelGrid(14, 2, *limits, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))


@given(width=sides, height=sides, limits=st.sampled_from(LIMITS))
@example(width=1, height=1, limits=LIMITS[0])
@example(width=5600, height=28, limits=LIMITS[0])
@example(width=5601, height=28, limits=LIMITS[0])
@example(width=28, height=5601, limits=LIMITS[0])
@example(width=200, height=1, limits=LIMITS[0])
@example(width=201, height=1, limits=LIMITS[0])
@example(width=1, height=201, limits=LIMITS[0])
@example(width=65_500, height=65_500, limits=LIMITS[0])
# halves, which Python rounds to even
@example(width=42, height=70, limits=LIMITS[3])
@settings(max_examples=4000, deadline=None)
def test_resized_sizes_are_those_of_the_reference(width: int, height: int, limits: tuple[int, int]) -> None:
    grid = pixel_grid(limits)
    try:
        expected = smart_resize(height, width, 28, *limits)
    except ValueError:
        with pytest.raises(InvalidArgument, match="aspect ratio"):
            grid.resized_size(width, height)
        return
    assert grid.resized_size(width, height) == expected[::-1]


@pytest.mark.parametrize("size", [(5601, 28), (28, 5601), (2010, 10), (3, 700)])
def test_an_aspect_ratio_above_200_is_refused_by_both(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="aspect ratio"):
        smart_resize(size[1], size[0], 28, *LIMITS[0])
    with pytest.raises(InvalidArgument, match="aspect ratio"):
        pixel_grid(LIMITS[0]).resized_size(*size)
