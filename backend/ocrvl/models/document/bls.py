"""The other models of the server, called for a document: `layout` and `paddleocr_vl` (business logic scripting)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from ocrvl.control_channel.client import ControlClient
from ocrvl.control_channel.engine_gate import EngineGate
from ocrvl.errors import InvalidArgument
from ocrvl.imaging.grid import PixelGrid
from ocrvl.imaging.patches import cut_patches, resize_to_grid
from ocrvl.messages import CutImage, PackedImages, decode_texts, encode_texts
from ocrvl.models.document.options import DocumentOptions
from ocrvl.models.document.paddle import BlockText, Crop
from ocrvl.models.fair_limiter import FairLimiter
from ocrvl.models.layout_options import LayoutOptions
from ocrvl.models.parts import PART, check_engine, read_in_groups
from ocrvl.models.regions import Region, decode_regions
from ocrvl.options import Options
from ocrvl.triton.context import Call, CallModel
from ocrvl.wire import Model, Tensor

_REGION: Final = (Tensor.LABEL, Tensor.SCORE, Tensor.BOX, Tensor.POLYGON)
_READING: Final = (Tensor.TEXT, Tensor.ERROR)

GROUP: Final = 4
"""Blocks of one page in one call to the engine: it admits them together, so a few are admitted sooner than many."""


class Models(Protocol):
    """The other models of the server, as a document needs them. Their methods raise `OcrError`."""

    async def find_blocks(self, page: npt.NDArray[np.uint8], options: LayoutOptions, call: Call) -> list[Region]:
        """The blocks of a page in reading order; `call` is the document's."""

    async def read_blocks(
        self, crops: Sequence[Crop], options: DocumentOptions, token: str, call: Call
    ) -> list[BlockText]:
        """The texts of blocks; `token` ends them, `call` is the document's."""

    async def end(self, token: str) -> None:
        """End what carries the token."""


class BlsModels:
    """The models of the same server, of which at most `max_calls` are called at a time."""

    def __init__(
        self,
        call_model: CallModel,
        channel: ControlClient,
        gate: EngineGate,
        grid: PixelGrid,
        limiter: FairLimiter,
        max_calls: int,
    ) -> None:
        self._call_model = call_model
        self._channel = channel
        self._gate = gate
        self._grid = grid
        self._limiter = limiter
        # a call that waited for a thread would count as a block in flight
        self._calls = asyncio.Semaphore(max_calls)
        self._threads = ThreadPoolExecutor(max_calls, "blocks")

    @property
    def blocks_in_flight(self) -> int:
        """Blocks that the engines have not answered yet."""
        return self._limiter.admitted

    async def find_blocks(self, page: npt.NDArray[np.uint8], options: LayoutOptions, call: Call) -> list[Region]:
        """What `layout` finds."""
        tensors = {
            Tensor.PIXELS: page[None],
            Tensor.OPTIONS: encode_texts([options.model_dump_json(exclude_defaults=True)])[None],
        }
        async with self._calls:
            answer = await self._call_model(call, Model.LAYOUT, tensors, _REGION, PART)
        return decode_regions(answer)

    async def read_blocks(
        self, crops: Sequence[Crop], options: DocumentOptions, token: str, call: Call
    ) -> list[BlockText]:
        """What the engine reads, a few blocks of a page at a time."""
        block_options = Options(
            adapter=options.adapter,
            max_tokens=options.max_new_tokens,
            temperature=options.temperature or 0.0,
            top_p=options.top_p or 1.0,
            repetition_penalty=options.repetition_penalty or 1.0,
            stop_repetition=options.stop_repetition,
            # what becomes of the model's words is up to PaddleOCR's rules for documents
            raw=True,
            on_error="keep",
            cancel_token=token,
        )
        return await read_in_groups(crops, GROUP, lambda group: self._read_group(group, block_options, call))

    async def end(self, token: str) -> None:
        """End what the engines read under this token."""
        await self._channel.cancel(token)

    async def _read_group(self, crops: Sequence[Crop], options: Options, call: Call) -> list[BlockText]:
        run = asyncio.get_running_loop().run_in_executor
        async with self._limiter.enter(call, len(crops)):
            packed = await run(self._threads, self._pack, crops, options)
            async with self._calls:
                await run(self._threads, self._gate.wait, None)
                answer = await self._call_model(call, Model.ENGINE, packed.encode_tensors(), _READING, PART)
        texts, errors = (decode_texts(answer(name), name) for name in _READING)
        return to_blocks(texts, errors)

    def _pack(self, crops: Sequence[Crop], options: Options) -> PackedImages:
        return PackedImages.pack([self._cut(crop) for crop in crops], options)

    def _cut(self, crop: Crop) -> CutImage:
        height, width, _ = crop.pixels.shape
        try:
            grid = self._grid.limited(crop.task, crop.min_pixels, crop.max_pixels)
            patches, thw = cut_patches(resize_to_grid(crop.pixels, grid), grid)
        except InvalidArgument as error:
            return CutImage.failed(crop.task, self._grid.patch_size, error.tagged, (width, height))
        return CutImage(patches, thw, (width, height), crop.task)


def to_blocks(texts: Sequence[str], errors: Sequence[str]) -> list[BlockText]:
    """The blocks that the engine's model answered with. Raises `Unavailable`, see `check_engine`."""
    check_engine(errors)
    return [BlockText(text, error) for text, error in zip(texts, errors, strict=True)]
