"""The other models of the server, called for a receipt: `ocr` for its lines, `fields` for what their words mean."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, Protocol

import numpy as np
from PIL import Image

from ocrvl.control_channel.client import ControlClient
from ocrvl.messages import decode_texts, encode_texts
from ocrvl.models.fair_limiter import FairLimiter
from ocrvl.models.parts import PART, check_engine, read_in_groups
from ocrvl.models.receipt.lines import Line, Pixels
from ocrvl.models.receipt.options import ReceiptOptions
from ocrvl.models.receipt.spotting import parse_spots
from ocrvl.models.words import Box, Word
from ocrvl.options import Options
from ocrvl.triton.context import Call, CallModel
from ocrvl.wire import FinishReason, Model, Task, Tensor

GROUP: Final = 8
"""Lines of one receipt in one call to the engine: it admits them together, so a few are admitted sooner than many."""

_READING: Final = (Tensor.TEXT, Tensor.FINISH_REASON, Tensor.ERROR)

Size = tuple[int, int]
"""Width and height, in pixels."""


class Models(Protocol):
    """The other models of the server, as a receipt needs them. Their methods raise `OcrError`; `call` is its own."""

    async def read_lines(
        self, crops: Sequence[Pixels], boxes: Sequence[Box], options: ReceiptOptions, token: str, call: Call
    ) -> list[Line]:
        """What is written in lines that have been cut out; `token` ends them."""

    async def spot(self, image: bytes, size: Size, options: ReceiptOptions, token: str, call: Call) -> list[Line]:
        """The lines that the engine finds by itself in an image of this size; `token` ends it."""

    async def find_fields(self, words: Sequence[Word], pixels: Pixels, size: Size, call: Call) -> dict[str, Any]:
        """What the words mean: the answer of `fields`."""

    async def end(self, token: str) -> None:
        """End what carries the token."""


class BlsModels:
    """The models of the same server, of which at most `max_calls` are called at a time."""

    def __init__(self, call_model: CallModel, channel: ControlClient, limiter: FairLimiter, max_calls: int) -> None:
        self._call_model = call_model
        self._channel = channel
        self._limiter = limiter
        # a call that waited for a thread would count as a line in flight
        self._calls = asyncio.Semaphore(max_calls)
        self._threads = ThreadPoolExecutor(1, "lines")

    @property
    def lines_in_flight(self) -> int:
        """Lines that the engines have not answered yet."""
        return self._limiter.admitted

    async def read_lines(
        self, crops: Sequence[Pixels], boxes: Sequence[Box], options: ReceiptOptions, token: str, call: Call
    ) -> list[Line]:
        """What the engine reads, a few lines of a receipt at a time."""

        async def read(group: Sequence[tuple[Pixels, Box]]) -> list[Line]:
            async with self._limiter.enter(call, len(group)):
                files = await asyncio.get_running_loop().run_in_executor(
                    self._threads, _encode, [crop for crop, _ in group]
                )
                found = await self._read(files, Task.OCR, _engine_options(options, token), call)
            return [
                Line(text.strip(), box, FinishReason(reason), error)
                for (text, reason, error), (_, box) in zip(found, group, strict=True)
            ]

        return await read_in_groups(list(zip(crops, boxes, strict=True)), GROUP, read)

    async def spot(self, image: bytes, size: Size, options: ReceiptOptions, token: str, call: Call) -> list[Line]:
        """What the engine finds and reads at once."""
        # the text of all lines and their places, not of one
        whole = _engine_options(options, token).model_copy(update={"max_tokens": None, "on_error": "fail"})
        async with self._limiter.enter(call, 1):
            ((text, reason, _),) = await self._read([image], Task.SPOTTING, whole, call)
        return parse_spots(text, size, FinishReason(reason))

    async def find_fields(self, words: Sequence[Word], pixels: Pixels, size: Size, call: Call) -> dict[str, Any]:
        """What `fields` makes of words."""
        tensors = {
            Tensor.WORDS: encode_texts([word.text for word in words])[None],
            Tensor.BOX: np.array([word.box for word in words], np.float32).reshape(1, len(words), 4),
            Tensor.LINE: np.array([[word.line for word in words]], np.int32),
            Tensor.PIXELS: pixels[None],
            Tensor.SIZE: np.array([size], np.int32),
        }
        async with self._calls:
            answer = await self._call_model(call, Model.FIELDS, tensors, [Tensor.JSON], PART)
        found: dict[str, Any] = json.loads(answer(Tensor.JSON).item())
        return found

    async def end(self, token: str) -> None:
        """End what the engines read under this token."""
        await self._channel.cancel(token)

    async def _read(
        self, files: Sequence[bytes], task: Task, options: Options, call: Call
    ) -> list[tuple[str, str, str]]:
        """Text, finish reason and error of each image."""
        images = np.empty(len(files), dtype=object)
        images[:] = files
        tensors = {
            Tensor.IMAGE: images,
            Tensor.TASK: encode_texts([task]),
            Tensor.OPTIONS: encode_texts([options.model_dump_json(exclude_defaults=True)]),
        }
        async with self._calls:
            answer = await self._call_model(call, Model.OCR, tensors, _READING, PART)
        texts, reasons, errors = (decode_texts(answer(name), name) for name in _READING)
        check_engine(errors)
        return list(zip(texts, reasons, errors, strict=True))


def _engine_options(options: ReceiptOptions, token: str) -> Options:
    return Options(
        adapter=options.adapter,
        max_tokens=options.max_tokens,
        min_pixels=options.min_pixels,
        max_pixels=options.max_pixels,
        stop_repetition=options.stop_repetition,
        on_error="keep",
        cancel_token=token,
    )


def _encode(crops: Sequence[Pixels]) -> list[bytes]:
    """Lines as files without a loss; BMP is written in a fraction of a PNG's time, and nobody keeps it."""
    files = []
    for crop in crops:
        file = io.BytesIO()
        Image.fromarray(np.ascontiguousarray(crop)).save(file, "BMP")
        files.append(file.getvalue())
    return files
