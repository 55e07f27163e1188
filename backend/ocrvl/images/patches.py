"""An upright RGB picture, resized to its grid and cut into packed uint8 patches."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

from ocrvl.images.grid import PixelGrid


def resize_to_grid(picture: Image.Image, grid: PixelGrid) -> Image.Image:
    """Resize an RGB picture straight to its grid."""
    return resize(picture, grid.resized_size(picture.width, picture.height))


def resize(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Resize an RGB picture to a width and height (bicubic, as the reference)."""
    return picture if picture.size == size else picture.resize(size, Image.Resampling.BICUBIC)


def cut_patches(picture: Image.Image, grid: PixelGrid) -> tuple[npt.NDArray[np.uint8], tuple[int, int, int]]:
    """Cut an RGB picture that has the size of its grid into patches.

    Returns patches, uint8 [P, 3·patch·patch], channel first, row-major over the grid, and (1, rows, columns) of
    the grid in patches, P = rows · columns. The layout is that of `PaddleOCRVLImageProcessorPil.patchify`
    (transformers), before rescaling and normalisation, which are left to the engine's side: a quarter of the bytes.
    """
    patch = grid.patch_size
    rows, columns = picture.height // patch, picture.width // patch
    patches = np.empty((rows, columns, 3, patch, patch), np.uint8)
    # channel by channel, since then whole rows of a patch are copied instead of single bytes: a third of the time
    for channel, plane in enumerate(picture.split()):
        patches[:, :, channel] = np.asarray(plane).reshape(rows, patch, columns, patch).transpose(0, 2, 1, 3)
    return patches.reshape(rows * columns, 3 * patch * patch), (1, rows, columns)


def normalize_patches(patches: npt.NDArray[np.uint8], grid: PixelGrid) -> npt.NDArray[np.float32]:
    """Patches as the vision encoder takes them: float32 [P, 3, patch, patch], rescaled by 1/255 and normalised."""
    patch = grid.patch_size
    pixels = patches.reshape(-1, 3, patch * patch)
    normalized: npt.NDArray[np.float32] = _lookup_table(grid)[np.arange(3)[None, :, None], pixels]
    return normalized.reshape(-1, 3, patch, patch)


def _lookup_table(grid: PixelGrid) -> npt.NDArray[np.float32]:
    """The normalised value of each byte in each channel, float32 [3, 256]."""
    levels = np.arange(256, dtype=np.float32) * np.float32(1 / 255)
    mean, std = (np.asarray(values, dtype=np.float32)[:, None] for values in (grid.mean, grid.std))
    table: npt.NDArray[np.float32] = ((levels[None, :] - mean) / std).astype(np.float32)
    return table
