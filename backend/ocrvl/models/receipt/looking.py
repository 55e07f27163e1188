"""Looking at an image: decoded, and its lines found, in threads that are bounded."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from ocrvl.errors import InvalidArgument
from ocrvl.imaging.decode import ImageLimits, decode_image
from ocrvl.imaging.decoder import DecoderProcess
from ocrvl.models.receipt.detector import TextDetector
from ocrvl.models.receipt.lines import Pixels, Quad


@dataclass(frozen=True)
class Sight:
    """An image in RGB and the corners of its lines, in reading order; `warning` says what of its file was left out."""

    pixels: Pixels
    quads: list[Quad]
    warning: str = ""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, in pixels."""
        height, width, _ = self.pixels.shape
        return width, height


class Looker:
    """Looks at images, `threads` of them at a time, each on one core. Without a `detector` no lines are looked for."""

    def __init__(self, detector: TextDetector | None, limits: ImageLimits, threads: int) -> None:
        self._detector = detector
        self._limits = limits
        self._threads = ThreadPoolExecutor(threads, "looking")
        self._decoders = threading.local()
        self._all_decoders: list[DecoderProcess] = []

    async def look(self, image: bytes, check: Callable[[], None]) -> Sight:
        """Decode an image and find its lines. Raises `InvalidArgument`.

        What `check` raises ends it, also while the image is decoded.
        """
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._look, image, check)

    def close(self) -> None:
        """End what decodes; after the last image."""
        self._threads.shutdown()
        for decoder in self._all_decoders:
            decoder.close()

    def _look(self, image: bytes, check: Callable[[], None]) -> Sight:
        check()
        isolated = partial(self._decoder().decode, on_wait=check)
        decoded = decode_image(image, self._limits, isolated=isolated)
        if decoded.frames > 1:
            # a receipt of which a page is missing would be taken for whole
            raise InvalidArgument(f"it has {decoded.frames} pages, expected one: send each as a file of its own")
        check()
        quads = self._detector.find(decoded.pixels) if self._detector else []
        return Sight(decoded.pixels, quads, decoded.warning)

    def _decoder(self) -> DecoderProcess:
        """This thread's own: a process serves one at a time."""
        decoder: DecoderProcess | None = getattr(self._decoders, "own", None)
        if decoder is None:
            decoder = self._decoders.own = DecoderProcess()
            self._all_decoders.append(decoder)
        return decoder
