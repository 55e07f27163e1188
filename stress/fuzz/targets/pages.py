"""`ocrvl.models.document`: PDF and TIFF files. They are drawn here, where otherwise a process of its own draws them."""

from __future__ import annotations

from ocrvl.models.document.pdfium import open_file
from stress.fuzz.seeds import document_files
from stress.fuzz.target import Target

_MAX_PIXELS, _MAX_SIDE = 100_000, 1_000
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
    try:
        pages = open_file(data)
    except ValueError:
        return
    try:
        assert pages.count > 0
        for index in range(min(pages.count, _PAGES)):
            try:
                pixels, _ = pages.draw(index, _DPI, _MAX_PIXELS, _MAX_SIDE)
            except ValueError:
                continue
            height, width, channels = pixels.shape
            assert channels == 3
            # both sides of a page are rounded up
            assert 0 < height * width <= _MAX_PIXELS + height + width
    finally:
        pages.close()


TARGET = Target(check, document_files, _WORDS, max_bytes=8192)
