"""Patches, once normalised, are the pixel values of the model's own image processor; resized quickly, nearly."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from PIL import Image
from transformers.models.paddleocr_vl.image_processing_pil_paddleocr_vl import PaddleOCRVLImageProcessorPil

from ocrvl.imaging.grid import PixelGrid
from ocrvl.imaging.patches import cut_patches, normalize_patches, resize_to_grid
from training.nano.world import World

BICUBIC = Image.Resampling.BICUBIC

NANO = PixelGrid(14, 2, 3_136, 401_408, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
UNEVEN = PixelGrid(14, 2, 40_000, 60_000, mean=(0.48145466, 0.4578275, 0.40821073), std=(0.27, 0.26, 0.28))
"""Channels that differ, so that swapped ones show; limits so close that most images are resized."""


def random_sizes(count: int) -> list[tuple[int, int]]:
    """Sizes of every magnitude, each side on its own, aspect ratios as far as the model takes them."""
    rng = Random(11)
    sides = [(round(2 ** rng.uniform(2, 10)), round(2 ** rng.uniform(2, 10))) for _ in range(count)]
    return [size for size in sides if max(size) / min(size) < 150]


SIZES = [*random_sizes(44), (1, 1), (1, 60), (3, 90), (60, 3), (28, 28), (280, 28), (5600, 28), (28, 4000)]


@pytest.mark.parametrize("size", SIZES, ids="{0[0]}x{0[1]}".format)
@pytest.mark.parametrize("grid", [NANO, UNEVEN], ids=["nano", "uneven"])
def test_normalised_patches_are_the_reference_processors(grid: PixelGrid, size: tuple[int, int]) -> None:
    image = noisy_image(size)
    reference = _processor(grid)(images=[image], return_tensors="np")

    patches, thw = cut_patches(resize_to_grid(np.array(image), grid, exact=True), grid)

    assert thw == tuple(reference["image_grid_thw"][0].tolist())
    np.testing.assert_allclose(normalize_patches(patches, grid), reference["pixel_values"], rtol=0, atol=1e-6)


@pytest.mark.parametrize("size", SIZES, ids="{0[0]}x{0[1]}".format)
def test_the_quick_resize_rounds_to_a_level_or_two_of_the_reference(size: tuple[int, int]) -> None:
    image = noisy_image(size)
    width, height = UNEVEN.resized_size(*size)
    # columns, then rows: noise shows which pass came first, and Pillow 13 goes by what is less work
    reference = image.resize((width, image.height), BICUBIC).resize((width, height), BICUBIC)
    levels = np.abs(resize_to_grid(np.array(image), UNEVEN).transpose(1, 2, 0) - np.asarray(reference, np.int16))
    assert levels.max() <= 2
    assert (levels > 0).mean() < 0.02


@pytest.mark.parametrize("size", [(300, 64), (900, 160), (1200, 1600)], ids="{0[0]}x{0[1]}".format)
def test_what_is_written_looks_the_same_with_pillow(size: tuple[int, int]) -> None:
    page = np.array(World(Random(3)).line("Total 12.40", (300, 64)).image.resize(size))
    width, height = NANO.resized_size(*size)
    reference = np.asarray(Image.fromarray(page).resize((width, height), BICUBIC), np.int16)
    difference = np.abs(resize_to_grid(page, NANO).transpose(1, 2, 0) - reference)
    # more only where the order of the passes shows, at a stroke's edge
    assert (difference > 2).mean() < 0.005
    assert difference.mean() < 0.5


def _processor(grid: PixelGrid) -> PaddleOCRVLImageProcessorPil:
    limits = {"shortest_edge": grid.min_pixels, "longest_edge": grid.max_pixels}
    return PaddleOCRVLImageProcessorPil(size=limits, image_mean=list(grid.mean), image_std=list(grid.std))


def noisy_image(size: tuple[int, int]) -> Image.Image:
    """Every byte its own, so that a patch out of place or a flipped axis cannot hide."""
    levels = np.random.default_rng(size[0] * 10_000 + size[1]).integers(0, 256, (size[1], size[0], 3), np.uint8)
    return Image.fromarray(levels)
