"""`ocrvl.document`: PDF and TIFF files. What PDFium does is done here, where otherwise a process of its own does it."""

from __future__ import annotations

from typing import Any

from ocrvl.document.drawing import Drawers
from ocrvl.document.pages import open_pages
from ocrvl.document.pdfium import PdfFile
from ocrvl.errors import InvalidArgument
from ocrvl.images.decode import PictureLimits
from tools.fuzz.seeds import document_files
from tools.fuzz.target import Target

_LIMITS = PictureLimits(max_bytes=256 * 1024, max_pixels=100_000, max_side=1_000)
_NONE = Drawers()
_DPI = 36
_PAGES = 2
_WORDS = (
    *("%PDF-1.7", "obj", "endobj", "stream", "endstream", "xref", "trailer", "startxref", "%%EOF", "/MediaBox"),
    *("/Rotate", "/UserUnit", "/Kids", "/Count", "/Parent", "/Type", "/Pages", "/Page", "/Contents", "/Length"),
    *("/Resources", "/XObject", "/Subtype", "/Form", "/Image", "/Filter", "/FlateDecode", "/DCTDecode", "/Encrypt"),
    *(
        "/Annots",
        "/AcroForm",
        "/Fields",
        "/Shading",
        "/Pattern",
        "/Font",
        " Do ",
        " re ",
        " f ",
        " BI ",
        " ID ",
        " EI ",
    ),
)


def check(data: bytes) -> None:
    """Pages are drawn within the limits, or the file or the page is refused."""
    is_pdf = b"%PDF-" in data[:1024]
    try:
        pages: Any = PdfFile(data) if is_pdf else open_pages(data, _DPI, _LIMITS, _NONE)
    except (InvalidArgument, ValueError):
        return
    try:
        assert pages.count > 0
        for index in range(min(pages.count, _PAGES)):
            try:
                if is_pdf:
                    pixels, _ = pages.draw(index, _DPI, _LIMITS.max_pixels, _LIMITS.max_side)
                else:
                    pixels = pages.draw(index).pixels
            except (InvalidArgument, ValueError):
                continue
            height, width, channels = pixels.shape
            assert channels == 3
            # both sides of a page are rounded up
            assert 0 < height * width <= _LIMITS.max_pixels + height + width
    finally:
        pages.close()


TARGET = Target(check, document_files, _WORDS, max_bytes=8192)
