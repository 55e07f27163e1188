"""PDFium, and the program that a `Drawer` runs: `python -m ocrvl.models.document.pdfium FD`.

One file after another, in one thread, since PDFium allows no more. Questions and answers are JSON, and pixels follow;
nothing is unpickled on either side, so that an answer is never more than that.
"""

from __future__ import annotations

import ctypes
import json
import resource
import signal
import sys
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pypdfium2
from pypdfium2 import raw

from ocrvl.files import is_pdf
from ocrvl.models.document.glyphs import describe_undrawn
from ocrvl.models.document.images import ImageDocument
from ocrvl.models.document.units import may_have_units, read_unit

_POINTS_PER_INCH: Final = 72
MEMORY_BYTES: Final = 3 * 2**29
"""Of addresses: the program itself takes 90 MB, the largest page that is let in 280 MB, the largest file 270 MB and
twice that while it arrives."""

_PR_SET_PDEATHSIG: Final = 1


class PdfFile:
    """An open PDF. Raises `ValueError` with the reason where it, or a page of it, cannot be read."""

    def __init__(self, data: bytes) -> None:
        # A file without pages fails with the error of whatever failed before: that is one that no file in memory has.
        raw.FPDF_LoadDocument(b"", None)
        try:
            self._file: Any = pypdfium2.PdfDocument(data)
        except pypdfium2.PdfiumError as error:
            match raw.FPDF_GetLastError():
                case raw.FPDF_ERR_FILE:
                    reason = "the PDF has no pages"
                case raw.FPDF_ERR_PASSWORD:
                    reason = "the PDF asks for a password: send it without one"
                case _:
                    reason = f"the PDF is damaged: {error}"
            raise ValueError(reason) from None
        self.count = len(self._file)
        if not self.count:
            self.close()
            raise ValueError("the PDF has no pages")
        self._may_have_units = may_have_units(data)
        # what is written into the fields of a form belongs to the page
        self._file.init_forms()

    def draw(self, index: int, dpi: int, max_pixels: int, max_side: int) -> tuple[npt.NDArray[np.uint8], str]:
        """A page in RGB, uint8 [height, width, 3], and what is not as in a viewer.

        That is fewer dots an inch than asked for, and characters without a font.
        """
        try:
            page = self._file[index]
            if not all(page.get_size()):
                # a box to crop to that has nothing of the page: viewers show all of it
                page.set_cropbox(*page.get_mediabox())
            unit = read_unit(self._file, index) if self._may_have_units else 1.0
            width, height = (unit * side for side in page.get_size())
            scale, warning = _scale(width, height, dpi, max_pixels, max_side)
            bitmap = page.render(scale=unit * scale, rev_byteorder=True)
            pixels = np.ascontiguousarray(bitmap.to_numpy()[..., :3])
            bitmap.close()
            warning = "; ".join(filter(None, [warning, describe_undrawn(page)]))
            page.close()
        except pypdfium2.PdfiumError as error:
            raise ValueError(f"the page cannot be drawn: {error}") from None
        return pixels, warning

    def close(self) -> None:
        """Free what it holds."""
        self._file.close()


def _scale(width: float, height: float, dpi: int, max_pixels: int, max_side: int) -> tuple[float, str]:
    """Pixels a point, and what to say where they are fewer than was asked for."""
    scale = dpi / _POINTS_PER_INCH
    most = min((max_pixels / max(width * height, 1)) ** 0.5, max_side / max(width, height, 1))
    if scale <= most:
        return scale, ""
    return most, (
        f"drawn at {most * _POINTS_PER_INCH:.0f} dots an inch, not {dpi}: the page is "
        f"{width / _POINTS_PER_INCH:.0f} x {height / _POINTS_PER_INCH:.0f} inches"
    )


def open_file(data: bytes) -> PdfFile | ImageDocument:
    """A PDF or an image. Raises `ValueError` with the reason."""
    return PdfFile(data) if is_pdf(data) else ImageDocument(data)


def serve(connection: Connection) -> None:
    """Answer until the other end is closed: open a file, draw pages of it, close it, open the next."""
    file: PdfFile | ImageDocument | None = None
    while True:
        question = json.loads(connection.recv_bytes())
        try:
            if "open" in question:
                file = open_file(connection.recv_bytes())
                connection.send_bytes(json.dumps({"count": file.count}).encode())
                continue
            assert file is not None
            if "close" in question:
                file.close()
                continue
            pixels, warning = file.draw(**question)
        except ValueError as error:
            connection.send_bytes(json.dumps({"error": str(error)}).encode())
            continue
        connection.send_bytes(json.dumps({"shape": pixels.shape, "warning": warning}).encode())
        connection.send_bytes(pixels.data.cast("B"))


def main() -> None:
    """Serve at the file descriptor that the one argument names, within bounds, and no longer than the parent lives."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(EOFError, OSError), Connection(int(sys.argv[1])) as connection:
        serve(connection)


if __name__ == "__main__":
    main()
