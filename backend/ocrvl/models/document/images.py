"""Image files as documents: the pages of a TIFF, the only one of any other format."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ocrvl.errors import InvalidArgument
from ocrvl.files import TIFF_PREFIXES, describe_unknown, kind_of
from ocrvl.imaging.decode import FORMATS, ImageFile, ImageLimits, check_header
from ocrvl.imaging.headers import tiff

_ANY = ImageLimits(max_pixels=2**62, max_side=2**31)


class ImageDocument:
    """An open image file. Raises `ValueError` with the reason where it, or a page of it, cannot be read."""

    def __init__(self, data: bytes) -> None:
        if not kind_of(data):
            raise ValueError(
                f"it is neither a PDF nor an image in a format that is read ({', '.join(FORMATS)})"
                f"{describe_unknown(data)}"
            )
        self._data = data
        self._places = tiff.find_pages(data) if data.startswith(TIFF_PREFIXES) else []
        self.count = max(1, len(self._places))
        if self.count == 1:
            self._check(data, _ANY)

    def draw(self, index: int, dpi: int, max_pixels: int, max_side: int) -> tuple[npt.NDArray[np.uint8], str]:
        """A page in RGB, uint8 [height, width, 3], with the pixels that it has, and a warning."""
        del dpi
        limits = ImageLimits(max_pixels=max_pixels, max_side=max_side)
        data = tiff.at_page(self._data, self._places[index]) if self.count > 1 else self._data
        self._check(data, limits)
        try:
            image = ImageFile(data, limits).decode()
        except InvalidArgument as error:
            raise ValueError(str(error)) from None
        return image.pixels, image.warning

    def close(self) -> None:
        """Free what it holds."""
        self._data = b""

    @staticmethod
    def _check(data: bytes, limits: ImageLimits) -> None:
        try:
            check_header(data, limits)
        except InvalidArgument as error:
            raise ValueError(str(error)) from None
