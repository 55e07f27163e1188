"""`ocrvl.images`: encoded pictures."""

from __future__ import annotations

import numpy as np

from ocrvl.errors import InvalidArgument
from ocrvl.images.decode import FORMATS, PictureLimits, decode_picture
from tools.fuzz.seeds import picture_files
from tools.fuzz.target import Target

_LIMITS = PictureLimits(max_bytes=256 * 1024, max_pixels=250_000, max_side=2_000)


def check(data: bytes) -> None:
    """A picture is upright RGB within the limits, or refused; at a reduced scale as well."""
    for wanted in (None, lambda _width, _height: (28, 28)):
        try:
            picture = decode_picture(data, _LIMITS, wanted)
        except InvalidArgument as error:
            assert str(error), "a refusal without a reason"
            continue
        height, width, channels = picture.pixels.shape
        assert picture.pixels.dtype == np.uint8
        assert channels == 3
        assert 0 < height * width <= _LIMITS.max_pixels
        assert min(picture.size) > 0


TARGET = Target(check, picture_files, FORMATS, max_bytes=8192)
