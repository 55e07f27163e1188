"""The model `layout`: pages in, their blocks in reading order out."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from ocrvl.errors import InvalidArgument
from ocrvl.imaging.decode import ImageLimits, decode_image
from ocrvl.imaging.decoder import DecoderProcess
from ocrvl.messages import Array
from ocrvl.metrics.definitions import LayoutMetrics
from ocrvl.metrics.mirror import FamilyFactory
from ocrvl.models.background import end_with_server, publish_metrics
from ocrvl.models.layout.detectors import EMBEDDED, Detector, EmbeddedDetector, Pixels
from ocrvl.models.layout.paddle import PaddleDetector, default_engine
from ocrvl.models.layout_options import LayoutOptions
from ocrvl.models.regions import encode_regions
from ocrvl.options import parse_object
from ocrvl.settings import LayoutSettings, parse_parameters
from ocrvl.triton.context import Log, ModelContext, TensorReader
from ocrvl.wire import Tensor

_WARM_UP_PAGE = (1170, 827, 3)


class LayoutModel:
    """Finds the blocks of pages that Triton's batcher brought together."""

    def __init__(self, context: ModelContext, families: FamilyFactory, log: Log) -> None:
        self._settings = parse_parameters(LayoutSettings, context.parameters, context.config_file)
        self._limits = ImageLimits(
            max_bytes=self._settings.max_image_bytes,
            max_pixels=self._settings.max_image_pixels,
            max_seconds=self._settings.max_image_seconds,
        )
        self._decoder = DecoderProcess()
        self._detector = self._load(context)
        self._detector.detect([np.full(_WARM_UP_PAGE, 255, np.uint8)], [LayoutOptions()])
        self._metrics = LayoutMetrics()
        end_with_server()
        self._publisher = publish_metrics(self._metrics, context.replica, families, log)

    def find_blocks(self, requests: Sequence[TensorReader]) -> list[dict[Tensor, Array] | Exception]:
        """The blocks of each request's page, or what was wrong with it."""
        began = time.monotonic()
        answers: list[dict[Tensor, Array] | Exception] = []
        pages, options = [], []
        for read in requests:
            try:
                raw = read.optional(Tensor.OPTIONS)
                options.append(parse_object(LayoutOptions, None if raw is None else raw.item()))
                pages.append(self._page(read))
                answers.append({})
            except Exception as error:
                del options[len(pages) :]
                answers.append(error)
        found = iter(detect_each(self._detector, pages, options))
        self._metrics.pages.inc(len(pages))
        self._metrics.seconds.observe(time.monotonic() - began)
        return [answer if isinstance(answer, Exception) else next(found) for answer in answers]

    def stop(self) -> None:
        """Stop what runs beside the requests."""
        self._decoder.close()
        self._publisher.stop()

    def _load(self, context: ModelContext) -> Detector:
        settings = self._settings
        if settings.detector == EMBEDDED:
            return EmbeddedDetector(settings.threads)
        device = f"gpu:{context.device}" if context.kind == "GPU" else "cpu"
        engine = settings.engine or default_engine(device)
        try:
            return PaddleDetector(
                settings.detector, settings.folder, engine, device, context.max_batch_size, settings.threads
            )
        except ValueError as error:
            raise ValueError(f"{context.config_file}: parameters: {error}") from error

    def _page(self, read: TensorReader) -> Pixels:
        pixels, image = read.optional(Tensor.PIXELS), read.optional(Tensor.IMAGE)
        if (pixels is None) == (image is None):
            raise InvalidArgument(f"expected either {Tensor.IMAGE} or {Tensor.PIXELS}")
        if image is not None:
            return decode_image(image.item(), self._limits, isolated=self._decoder.decode).pixels
        assert pixels is not None
        if pixels.ndim != 4 or pixels.shape[0] != 1 or pixels.shape[3] != 3 or not all(pixels.shape):
            raise InvalidArgument(f"{Tensor.PIXELS}: shape {list(pixels.shape)}, expected [1, height, width, 3]")
        if pixels.shape[1] * pixels.shape[2] > self._settings.max_image_pixels:
            raise InvalidArgument(
                f"{Tensor.PIXELS}: {pixels.shape[2]}x{pixels.shape[1]}, at most {self._settings.max_image_pixels} "
                "pixels are taken"
            )
        page: Pixels = pixels[0]
        return page


def detect_each(
    detector: Detector, pages: Sequence[Pixels], options: Sequence[LayoutOptions]
) -> list[dict[Tensor, Array] | Exception]:
    """The blocks of all pages at once; where the detector cannot look at one of them, the others have theirs still."""
    if not pages:
        return []
    try:
        return [encode_regions(found) for found in detector.detect(pages, options)]
    except Exception as error:
        if len(pages) == 1:
            return [error]
    return [answer for page, one in zip(pages, options, strict=True) for answer in detect_each(detector, [page], [one])]
