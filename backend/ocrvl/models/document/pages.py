"""The pages of a file as images, drawn one at a time and only when they are needed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from ocrvl.errors import InvalidArgument
from ocrvl.files import is_pdf
from ocrvl.imaging.decode import ImageLimits
from ocrvl.models.document.drawing import Drawers, DrawTimes, PdfPages

_TIMES: Final = DrawTimes()


@dataclass(frozen=True)
class PageImage:
    """A page in RGB, uint8 [height, width, 3]; `warning` says where it is not quite what was asked for."""

    pixels: npt.NDArray[np.uint8]
    warning: str = ""


class Pages(Protocol):
    """An open file. Any thread may use it, one at a time."""

    count: int

    def draw(self, index: int) -> PageImage:
        """The page as an image. Raises `InvalidArgument` where it cannot be drawn."""

    def close(self) -> None:
        """Free what it holds."""


def open_pages(data: bytes, dpi: int, limits: ImageLimits, drawers: Drawers, times: DrawTimes = _TIMES) -> Pages:
    """The pages of a PDF or a TIFF, or the only one of another image.

    `dpi` is for PDF; `drawers` open and draw every file, within `times`. A page never gets more than
    `limits.max_pixels`. Raises `InvalidArgument` with the reason where the file cannot be read at all.
    """
    if not data:
        raise InvalidArgument("the file has no bytes")
    pages = _DrawnPages(PdfPages(data, dpi, limits.max_pixels, limits.max_side, drawers, times))
    if pages.count > 1 or is_pdf(data):
        return pages
    try:
        # at once: a file that is not what it should be is refused, not answered with an empty page
        return _OneImage(pages.draw(0))
    finally:
        pages.close()


class _DrawnPages:
    """Pages that are drawn when they are needed."""

    def __init__(self, pages: PdfPages) -> None:
        self.count = pages.count
        self._pages = pages

    def draw(self, index: int) -> PageImage:
        return PageImage(*self._pages.draw(index))

    def close(self) -> None:
        self._pages.close()


class _OneImage:
    count = 1

    def __init__(self, image: PageImage) -> None:
        self._image = image

    def draw(self, index: int) -> PageImage:
        del index
        return self._image

    def close(self) -> None:
        """Nothing to free."""
