"""What `preprocess` sends to the engine, whole and with one tensor changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ocrvl.imaging.grid import PixelGrid
from ocrvl.messages import PackedImages
from ocrvl.options import Options
from ocrvl.wire import Task, Tensor

Tensors = dict[Tensor, Any]
GRID = PixelGrid(14, 2, 3_136, 401_408, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))


def packed() -> PackedImages:
    """Three images of 2x4, none and 4x2 patches; the second one failed."""
    patches = np.arange(16 * 588, dtype=np.uint64).astype(np.uint8).reshape(16, 588)
    grids = np.array([[1, 2, 4], [0, 0, 0], [1, 4, 2]], np.int64)
    return PackedImages(
        patches=patches,
        grids=grids,
        source_sizes=np.array([[50, 30], [0, 0], [20, 60]], np.int32),
        tasks=(Task.OCR, Task.OCR, Task.TABLE),
        errors=("", "[INVALID_ARG] image 1: it has no bytes", ""),
        warnings=("", "", "3 frames were left out"),
        options=Options(on_error="keep", max_tokens=9),
    )


def changed(name: Tensor, change: Callable[[Any], Any]) -> Tensors:
    """The tensors of `packed`, of which one is another."""
    tensors = packed().encode_tensors()
    return {**tensors, name: change(tensors[name])}


def grids(*values: tuple[int, int, int]) -> Any:
    """A change of `GRID_THW` to these."""
    return lambda _: np.array([values], np.int64)
