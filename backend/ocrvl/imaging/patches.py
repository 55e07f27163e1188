"""An upright RGB image, resized to its grid and cut into packed uint8 patches."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from ocrvl.imaging.grid import PixelGrid


def resize_to_grid(pixels: npt.NDArray[np.uint8], grid: PixelGrid, *, exact: bool = False) -> npt.NDArray[np.uint8]:
    """Resize an RGB image straight to its grid: uint8 [height, width, 3] to planes, uint8 [3, height, width]."""
    height, width, _ = pixels.shape
    return resize(pixels, grid.resized_size(width, height), exact=exact)


def resize(pixels: npt.NDArray[np.uint8], size: tuple[int, int], *, exact: bool = False) -> npt.NDArray[np.uint8]:
    """Resize an RGB image, uint8 [height, width, 3], to a width and height; planes, uint8 [3, height, width].

    Bicubic and antialiased. With `exact` by Pillow, as the model's own image processor does it (transformers,
    `PaddleOCRVLImageProcessorPil`); else by torch's kernel for uint8, as that processor does where torchvision is
    installed. Where the CPU has AVX2 torch takes a fifth of the time. Its values are within two levels of 255 of
    Pillow's where both take columns first; Pillow 13 takes rows first where that is less work, and what either clips
    between the passes then differs at the edges of strokes.
    """
    height, width, _ = pixels.shape
    if exact and (width, height) != size:
        pixels = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC))
        width, height = size
    if (width, height) == size:
        return np.ascontiguousarray(pixels.transpose(2, 0, 1))
    image = torch.from_numpy(pixels).permute(2, 0, 1).unsqueeze(0)
    resized = torch.nn.functional.interpolate(image, (size[1], size[0]), mode="bicubic", antialias=True)
    planes: npt.NDArray[np.uint8] = resized.squeeze(0).contiguous().numpy()
    return planes


def cut_patches(planes: npt.NDArray[np.uint8], grid: PixelGrid) -> tuple[npt.NDArray[np.uint8], tuple[int, int, int]]:
    """Cut the planes of an RGB image that has the size of its grid, uint8 [3, height, width], into patches.

    Returns patches, uint8 [P, 3·patch·patch], channel first, row-major over the grid, and (1, rows, columns) of
    the grid in patches, P = rows · columns. The layout is that of `PaddleOCRVLImageProcessorPil.patchify`
    (transformers), before rescaling and normalisation, which are left to the engine's side: a quarter of the bytes.
    """
    patch = grid.patch_size
    _, height, width = planes.shape
    rows, columns = height // patch, width // patch
    patches = np.empty((rows, columns, 3, patch, patch), np.uint8)
    # channel by channel, since then whole rows of a patch are copied instead of single bytes: a third of the time
    for channel, plane in enumerate(planes):
        patches[:, :, channel] = plane.reshape(rows, patch, columns, patch).transpose(0, 2, 1, 3)
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
