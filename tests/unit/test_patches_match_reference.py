"""Patches, once normalised, are the pixel values of the model's own image processor."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from PIL import Image
from transformers.models.paddleocr_vl.image_processing_pil_paddleocr_vl import PaddleOCRVLImageProcessorPil

from ocrvl.images.grid import PixelGrid
from ocrvl.images.patches import cut_patches, normalize_patches, resize_to_grid

NANO = PixelGrid(14, 2, 3_136, 401_408, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
UNEVEN = PixelGrid(14, 2, 40_000, 60_000, mean=(0.48145466, 0.4578275, 0.40821073), std=(0.27, 0.26, 0.28))
"""Channels that differ, so that swapped ones show; limits so close that most pictures are resized."""


def random_sizes(count: int) -> list[tuple[int, int]]:
    """Sizes of every magnitude, each side on its own, aspect ratios as far as the model takes them."""
    rng = Random(11)
    sides = [(round(2 ** rng.uniform(2, 10)), round(2 ** rng.uniform(2, 10))) for _ in range(count)]
    return [size for size in sides if max(size) / min(size) < 150]


SIZES = [*random_sizes(44), (1, 1), (1, 60), (3, 90), (60, 3), (28, 28), (280, 28), (5600, 28), (28, 4000)]


@pytest.mark.parametrize("size", SIZES, ids="{0[0]}x{0[1]}".format)
@pytest.mark.parametrize("grid", [NANO, UNEVEN], ids=["nano", "uneven"])
def test_normalised_patches_are_the_reference_processors(grid: PixelGrid, size: tuple[int, int]) -> None:
    picture = noisy_picture(size)
    reference = PaddleOCRVLImageProcessorPil(
        size={"shortest_edge": grid.min_pixels, "longest_edge": grid.max_pixels},
        image_mean=list(grid.mean),
        image_std=list(grid.std),
    )(images=[picture], return_tensors="np")

    patches, thw = cut_patches(resize_to_grid(picture, grid), grid)

    assert thw == tuple(reference["image_grid_thw"][0].tolist())
    np.testing.assert_allclose(normalize_patches(patches, grid), reference["pixel_values"], rtol=0, atol=1e-6)


def noisy_picture(size: tuple[int, int]) -> Image.Image:
    """Every byte its own, so that a patch out of place or a flipped axis can not hide."""
    levels = np.random.default_rng(size[0] * 10_000 + size[1]).integers(0, 256, (size[1], size[0], 3), np.uint8)
    return Image.fromarray(levels)
