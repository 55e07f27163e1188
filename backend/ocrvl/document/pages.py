"""The pages of a file as pictures, drawn one at a time and only when they are wanted."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from ocrvl.document.drawing import Drawers, DrawTimes, PdfPages
from ocrvl.errors import InvalidArgument
from ocrvl.images.decode import PictureLimits, count_frames, decode_picture, to_rgb

_PDF_HEAD_BYTES: Final = 1024
"""Where a PDF's `%PDF-` may begin (ISO 32000-1, implementation note 13)."""

_TIMES: Final = DrawTimes()


@dataclass(frozen=True)
class PagePicture:
    """A page in RGB, uint8 [height, width, 3]; `warning` says where it is not quite what was asked for."""

    pixels: npt.NDArray[np.uint8]
    warning: str = ""


class Pages(Protocol):
    """An open file. Any thread may use it, one at a time."""

    count: int

    def draw(self, index: int) -> PagePicture:
        """The page as a picture. Raises `InvalidArgument` where it can not be drawn."""

    def close(self) -> None:
        """Free what it holds."""


def open_pages(data: bytes, dpi: int, limits: PictureLimits, drawers: Drawers, times: DrawTimes = _TIMES) -> Pages:
    """The pages of a PDF or a TIFF, or the only one of another picture.

    `dpi`, `drawers` and `times` are for PDF. A page never gets more than `limits.max_pixels`. Raises `InvalidArgument`
    with the reason where the file can not be read at all.
    """
    if not data:
        raise InvalidArgument("the file has no bytes")
    if b"%PDF-" in data[:_PDF_HEAD_BYTES]:
        return _DrawnPages(PdfPages(data, dpi, limits.max_pixels, limits.max_side, drawers, times))
    frames = _tiff_frames(data)
    return _TiffPages(data, frames, limits) if frames > 1 else _OnePicture(data, limits)


class _DrawnPages:
    """The pages of a PDF."""

    def __init__(self, pages: PdfPages) -> None:
        self.count = pages.count
        self._pages = pages

    def draw(self, index: int) -> PagePicture:
        return PagePicture(*self._pages.draw(index))

    def close(self) -> None:
        self._pages.close()


def _tiff_frames(data: bytes) -> int:
    """How many pages a TIFF has; 0 where it is none."""
    if data[:4] not in (b"II*\0", b"MM\0*"):
        return 0
    try:
        with Image.open(io.BytesIO(data), formats=["TIFF"]) as image:
            return count_frames(data, image)
    except Exception:
        # what is wrong with it is said by whoever decodes it
        return 0


class _TiffPages:
    def __init__(self, data: bytes, count: int, limits: PictureLimits) -> None:
        self.count = count
        self._limits = limits
        self._image = Image.open(io.BytesIO(data), formats=["TIFF"])

    def draw(self, index: int) -> PagePicture:
        try:
            self._image.seek(index)
            width, height = self._image.size
            if width * height <= self._limits.max_pixels:
                return PagePicture(np.array(to_rgb(ImageOps.exif_transpose(self._image))))
        except MemoryError:
            raise
        except Exception as error:
            # Pillow's decoders raise OSError, ValueError, SyntaxError, struct.error, EOFError and more
            raise InvalidArgument(f"the page is damaged: {error or type(error).__name__}") from None
        raise InvalidArgument(
            f"its header promises {width}x{height} pixels, at most {self._limits.max_pixels} are decoded"
        )

    def close(self) -> None:
        self._image.close()


class _OnePicture:
    count = 1

    def __init__(self, data: bytes, limits: PictureLimits) -> None:
        # decoded at once: a file that is not what it should be is refused, not answered with an empty page
        picture = decode_picture(data, limits)
        self._picture = PagePicture(picture.pixels, picture.warning)

    def draw(self, index: int) -> PagePicture:
        del index
        return self._picture

    def close(self) -> None:
        """Nothing to free."""
