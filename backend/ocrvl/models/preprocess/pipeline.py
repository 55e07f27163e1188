"""All the images of a request, from encoded bytes to packed patches."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from PIL import Image

from ocrvl.errors import InvalidArgument
from ocrvl.imaging.decode import ImageLimits, IsolatedDecoder, decode_image
from ocrvl.imaging.decoder import DecoderProcess
from ocrvl.imaging.grid import PixelGrid, upscaled_size
from ocrvl.imaging.patches import cut_patches, resize
from ocrvl.messages import CutImage, PackedImages
from ocrvl.metrics.definitions import Stage
from ocrvl.options import Options
from ocrvl.wire import MAX_IMAGES, Task


def _check_nothing() -> None:
    """For a request whose caller is sure to wait."""


@dataclass(frozen=True)
class Preprocessor:
    """Turns encoded images into packed patches for one checkpoint: the same input gives the same patches.

    With `scaled_jpeg` a JPEG of at least twice the size that it is resized to is decoded at a smaller scale: not quite
    the reference's pixels, in a fraction of the time. With `exact_resize` Pillow resizes, see `resize`. `decoder` is
    where images are decoded whose cost nobody knows, see `decode_image`. `max_tokens` is the model's length, which
    what is larger than that could only be refused for later. `timer` makes a context for each part of
    the work on an image, for metrics.
    """

    grid: PixelGrid
    limits: ImageLimits
    scaled_jpeg: bool = True
    exact_resize: bool = False
    decoder: DecoderProcess | None = None
    max_tokens: int | None = None
    timer: Callable[[Stage], AbstractContextManager[Any]] = nullcontext

    def preprocess(
        self,
        images: Sequence[bytes],
        tasks: Sequence[Task],
        options: Options,
        check: Callable[[], None] = _check_nothing,
    ) -> PackedImages:
        """Decode, resize and cut every image.

        `tasks` has one task for all images or one an image. Raises `InvalidArgument` naming the image, or,
        with `on_error: keep`, notes it in `PackedImages.errors` and goes on; a request without a single good
        image is returned as well, the errors are then all it has. `check` is called before each image, and now and
        then while one is decoded in another process; what it raises ends the request.
        """
        tasks = _task_per_image(tasks, len(images))
        share = _Share(self.limits, self.decoder, check)
        cut = []
        for index, (data, task) in enumerate(zip(images, tasks, strict=True)):
            check()
            try:
                with self.timer(Stage.TOTAL), share.spend():
                    image = self._cut(data, task, options, share)
                share.bytes_left -= image.patches.nbytes
            except InvalidArgument as cause:
                named = InvalidArgument(f"image {index}: {cause}")
                if options.on_error == "fail":
                    raise named from None
                image = CutImage.failed(task, self.grid.patch_size, named.tagged)
            cut.append(image)
        return PackedImages.pack(cut, options)

    def _cut(self, data: bytes, task: Task, options: Options, share: _Share) -> CutImage:
        grid = self.grid.limited(task, options.min_pixels, options.max_pixels)

        def resized_size(width: int, height: int) -> tuple[int, int]:
            return grid.resized_size(*upscaled_size(task, width, height))

        with self.timer(Stage.DECODE):
            image = decode_image(data, share.limits(), resized_size if self.scaled_jpeg else None, share.isolated)
        pixels = image.pixels
        if (upscaled := upscaled_size(task, *image.size)) != image.size:
            # two resizes, with these filters, because that is what the model was given in training (PaddleX)
            pixels = np.array(Image.fromarray(pixels).resize(upscaled, Image.Resampling.LANCZOS))
        width, height = resized_size(*image.size)
        tokens = width * height // grid.factor**2
        if self.max_tokens is not None and tokens >= self.max_tokens:
            raise InvalidArgument(
                f"resized to {width}x{height}, it takes {tokens} tokens, the model's length is {self.max_tokens}: "
                "lower max_pixels"
            )
        if 3 * width * height > share.bytes_left:
            raise InvalidArgument(
                f"resized to {width}x{height}, it takes its request over {self.limits.max_patch_bytes} bytes: "
                "send fewer images at once, or lower max_pixels"
            )
        with self.timer(Stage.RESIZE):
            planes = resize(pixels, (width, height), exact=self.exact_resize)
        with self.timer(Stage.PATCH):
            patches, thw = cut_patches(planes, grid)
        return CutImage(patches, thw, image.size, task, warning=image.warning)


class _Share:
    """What a request may still take of processor time and of memory."""

    def __init__(self, limits: ImageLimits, decoder: DecoderProcess | None, check: Callable[[], None]) -> None:
        self.bytes_left = limits.max_patch_bytes
        self.isolated: IsolatedDecoder | None = None if decoder is None else partial(decoder.decode, on_wait=check)
        self._seconds_left = limits.max_request_seconds
        self._limits = limits
        self._decoder = decoder

    def limits(self) -> ImageLimits:
        """Those of the next image. Raises `InvalidArgument` where no time is left."""
        if self._seconds_left <= 0:
            raise InvalidArgument(
                f"those before it took the {self._limits.max_request_seconds:g} s that a request may take to decode: "
                "send fewer images at once"
            )
        return replace(self._limits, max_seconds=min(self._limits.max_seconds, self._seconds_left))

    @contextmanager
    def spend(self) -> Iterator[None]:
        """Take what is done meanwhile from the time that is left."""
        began = self._seconds()
        try:
            yield
        finally:
            self._seconds_left -= self._seconds() - began

    def _seconds(self) -> float:
        return time.thread_time() + (0.0 if self._decoder is None else self._decoder.seconds)


def _task_per_image(tasks: Sequence[Task], count: int) -> Sequence[Task]:
    if not 1 <= count <= MAX_IMAGES:
        raise InvalidArgument(f"{count} images in one request, 1 to {MAX_IMAGES} are taken")
    if len(tasks) == 1:
        return tuple(tasks) * count
    if len(tasks) != count:
        raise InvalidArgument(f"{len(tasks)} tasks for {count} images: expected one for all or one for each")
    return tasks
