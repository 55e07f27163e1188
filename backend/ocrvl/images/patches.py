"""An upright RGB picture, resized to its grid and cut into packed uint8 patches."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

from ocrvl.images.grid import PixelGrid


def resize_to_grid(picture: Image.Image, grid: PixelGrid) -> Image.Image:
    """Resize an RGB picture straight to its grid (bicubic, as the reference)."""
    size = grid.resized_size(picture.width, picture.height)
    return picture if picture.size == size else picture.resize(size, Image.Resampling.BICUBIC)


def cut_patches(picture: Image.Image, grid: PixelGrid) -> tuple[npt.NDArray[np.uint8], tuple[int, int, int]]:
    """Cut an RGB picture that has the size of its grid into patches.

    Returns patches, uint8 [P, 3·patch·patch], channel first, row-major over the grid, and (1, rows, columns) of
    the grid in patches, P = rows · columns. The layout is that of `PaddleOCRVLImageProcessorPil.patchify`
    (transformers), before rescaling and normalisation, which are left to the engine's side: a quarter of the bytes.
    """
    pixels = np.asarray(picture)
    patch = grid.patch_size
    rows, columns = pixels.shape[0] // patch, pixels.shape[1] // patch
    tiles = pixels.reshape(rows, patch, columns, patch, 3).transpose(0, 2, 4, 1, 3)
    return np.ascontiguousarray(tiles).reshape(rows * columns, 3 * patch * patch), (1, rows, columns)


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
