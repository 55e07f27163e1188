"""The first readings of an engine, made before anyone waits for them."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import numpy as np

from ocrvl.errors import InvalidArgument
from ocrvl.imaging.grid import PixelGrid
from ocrvl.messages import PackedImage
from ocrvl.models.engine.reader import Engine
from ocrvl.models.engine.request import unique_id
from ocrvl.options import Options
from ocrvl.wire import Task

_NAME = "warm-up"
_CONCURRENT = 4


async def warm_up(engine: Engine, grid: PixelGrid, step_tokens: int) -> None:
    """Read white images of the smallest and the largest size, alone and as many as one step takes.

    What the first request of a size would wait for (kernels that are compiled or chosen by shape, the tokenizer) is
    there afterwards, and so is the memory of the largest step: where it is too little, the start fails, and not a
    caller. `step_tokens` is the number of tokens that the engine takes in one step.
    """
    small, large = (_white(grid, pixels) for pixels in (grid.min_pixels, grid.max_pixels))
    plain = Options(max_tokens=8, raw=True)
    await engine.read(small, plain, unique_id(_NAME))
    # a model's length that is too short for the largest image is for its callers to be told
    with suppress(InvalidArgument):
        await engine.read(large, plain, unique_id(_NAME))
        # the first one goes alone, while the others arrive
        together = 1 + step_tokens * grid.merge_size**2 // len(large.patches)
        await asyncio.gather(*(engine.read(large, plain, unique_id(_NAME)) for _ in range(together)))
    await engine.read(small, plain.model_copy(update={"regex": "[a-z]{8}"}), unique_id(_NAME))
    await asyncio.gather(*(engine.read(small, plain, unique_id(_NAME)) for _ in range(_CONCURRENT)))


def _white(grid: PixelGrid, pixels: int) -> PackedImage:
    side = int(pixels**0.5)
    width, height = grid.resized_size(side, side)
    rows, columns = height // grid.patch_size, width // grid.patch_size
    patches = np.full((rows * columns, 3 * grid.patch_size**2), 255, np.uint8)
    return PackedImage(0, patches, (1, rows, columns), Task.OCR)
