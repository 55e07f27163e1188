"""`ocrvl.imaging`: encoded images, and what their headers say before they are decoded."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ocrvl.errors import InvalidArgument
from ocrvl.files import decode_file
from ocrvl.imaging.decode import FORMATS, ImageLimits, decode_image
from ocrvl.imaging.headers import read_header
from stress.fuzz.bombs import bmp_of, jpeg_of, jpeg_of_scans, png_of, tiff_of, webp_of
from stress.fuzz.seeds import image_files
from stress.fuzz.target import Target

_LIMITS = ImageLimits(max_bytes=256 * 1024, max_pixels=250_000, max_side=2_000)


def check(data: bytes) -> None:
    """An image is upright RGB within the limits, as its header said, or refused; at a reduced scale as well."""
    try:
        header = read_header(decode_file(data))
    except (InvalidArgument, ValueError):
        header = None
    for wanted in (None, lambda _width, _height: (28, 28)):
        try:
            image = decode_image(data, _LIMITS, wanted)
        except InvalidArgument as error:
            assert str(error), "a refusal without a reason"
            continue
        height, width, channels = image.pixels.shape
        assert image.pixels.dtype == np.uint8
        assert channels == 3
        assert 0 < height * width <= _LIMITS.max_pixels
        assert min(image.size) > 0
        # what has been decoded has been counted first, and was not larger than counted
        assert header is not None
        assert image.size in (header.size, header.size[::-1])


def seeds() -> Sequence[bytes]:
    """Images of every format, and some of more parts than they need."""
    tiffs = (tiff_of(2, form=form) for form in ("<", ">", "<+", ">+"))
    more = (jpeg_of(2), jpeg_of_scans(12), png_of(2), webp_of(2), bmp_of(6, 4))
    return [*image_files(), *tiffs, *more]


TARGET = Target(check, seeds, FORMATS, max_bytes=8192)
