"""One receipt: looked at, read line by line, and made out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, Final, TypeVar

import numpy as np
from PIL import Image

from ocrvl.metrics.definitions import ReceiptStage
from ocrvl.models.parts import retry_unavailable
from ocrvl.models.receipt.bls import Models
from ocrvl.models.receipt.lines import Line, Pixels, bounding_box, cut_out
from ocrvl.models.receipt.looking import Looker, Sight
from ocrvl.models.receipt.request import ReceiptRequest
from ocrvl.models.receipt.results import compose, encode_receipt
from ocrvl.models.words import split_line
from ocrvl.settings import ReceiptSettings

_SEEN_SIDE: Final = 1024
"""Pixels of the longer side of the image that `fields` is shown: it sees far fewer, and all of a photograph would be
copied between processes."""

_MAX_CHARACTERS: Final = 256
"""Of a word: a line that was read wrongly may be one of any length, which `fields` would refuse."""

T = TypeVar("T")


class ReceiptReader:
    """Reads receipts with the other models of the server; `on_stage` is told how long a part of one took.

    A model that is full, or whose engine restarts, is called again for a while: what is done is not lost for that.
    """

    def __init__(
        self,
        models: Models,
        looker: Looker,
        settings: ReceiptSettings,
        on_stage: Callable[[ReceiptStage, float], None] = lambda *_: None,
    ) -> None:
        self._models = models
        self._looker = looker
        self._settings = settings
        self._on_stage = on_stage
        self._threads = ThreadPoolExecutor(1, "receipts")

    async def read(self, request: ReceiptRequest) -> None:
        """Read a receipt; its response is then in `request`. Raises `OcrError`."""
        sight = await self._timed(ReceiptStage.DETECT, self._looker.look(request.image, request.check))
        warnings = [sight.warning]
        request.calls_engine = True
        lines = await self._timed(ReceiptStage.READ, self._read_lines(request, sight, warnings))
        request.lines, request.image = len(lines), b""
        if not lines:
            warnings.append("no text was found on the image")
        found = await self._timed(ReceiptStage.FIELDS, self._find_fields(request, sight, lines))
        receipt = compose(found, lines, warnings)
        request.response = await self.run(encode_receipt, receipt, sight.pixels, request.options)

    async def run(self, function: Callable[..., T], *arguments: Any) -> T:
        """Call a function that computes in a thread of its own."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *arguments)

    def close(self) -> None:
        """End what looks at images; after the last receipt."""
        self._looker.close()

    async def _read_lines(self, request: ReceiptRequest, sight: Sight, warnings: list[str]) -> list[Line]:
        options, token, call = request.options, request.token, request.call
        if self._settings.detector == "spotting":
            lines = await self._retry(lambda: self._models.spot(request.image, sight.size, options, token, call))
            return self._bounded(lines, warnings)
        quads = self._bounded(sight.quads, warnings)
        crops = await self.run(lambda: [cut_out(sight.pixels, quad) for quad in quads])
        boxes = [bounding_box(quad, sight.size) for quad in quads]
        return await self._retry(lambda: self._models.read_lines(crops, boxes, options, token, call))

    async def _find_fields(self, request: ReceiptRequest, sight: Sight, lines: list[Line]) -> dict[str, Any]:
        words = [
            replace(word, text=word.text[:_MAX_CHARACTERS])
            for number, line in enumerate(lines)
            for word in split_line(line.text, line.box, number)
        ]
        seen = await self.run(_reduced, sight.pixels)
        return await self._retry(lambda: self._models.find_fields(words, seen, sight.size, request.call))

    def _bounded(self, lines: list[T], warnings: list[str]) -> list[T]:
        most = self._settings.max_receipt_lines
        if len(lines) > most:
            warnings.append(f"{len(lines)} lines, the first {most} are read")
        return lines[:most]

    async def _retry(self, call: Callable[[], Awaitable[T]]) -> T:
        return await retry_unavailable(call, self._settings.retry_timeout_seconds)

    async def _timed(self, stage: ReceiptStage, part: Awaitable[T]) -> T:
        began = time.monotonic()
        try:
            return await part
        finally:
            self._on_stage(stage, time.monotonic() - began)


def _reduced(pixels: Pixels) -> Pixels:
    height, width, _ = pixels.shape
    scale = _SEEN_SIDE / max(height, width)
    if scale >= 1:
        return pixels
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0))
