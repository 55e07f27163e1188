"""A page is drawn as viewers show it: its boxes, its unit, its rotation, what lies upon it."""

from __future__ import annotations

import zlib

import numpy as np
import numpy.typing as npt
import pytest

from ocrvl.models.document.pdfium import PdfFile

MARKS = b"1 0 0 rg 0 0 20 20 re f 0 0 1 rg 180 80 20 20 re f"
"""A red square at the lower left of a page of 200 x 100 points, a blue one at the upper right."""

BOX = b"/MediaBox[0 0 200 100]"
RED, BLUE = (255, 0, 0), (0, 0, 255)


def pdf(page: bytes, parent: bytes = b"", more: bytes = b"", content: bytes = MARKS) -> bytes:
    """A page with these entries and `MARKS` on it; `parent` are entries that it may inherit, `more` objects from 5."""
    return (
        b"%%PDF-1.7\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1%b>>endobj\n"
        b"3 0 obj<</Type/Page/Parent 2 0 R/Contents 4 0 R%b>>endobj\n"
        b"4 0 obj<</Length %d>>stream\n%b\nendstream endobj\n%b\ntrailer<</Root 1 0 R>>\n"
        % (parent, page, len(content), content, more)
    )


def draw(data: bytes) -> npt.NDArray[np.uint8]:
    """Its first page at a pixel a point."""
    file = PdfFile(data)
    pixels, _ = file.draw(0, dpi=72, max_pixels=4_000_000, max_side=10_000)
    file.close()
    return pixels


def place(pixels: npt.NDArray[np.uint8], colour: tuple[int, int, int]) -> tuple[int, int, int, int] | None:
    """Left, top, right, bottom of what has the colour."""
    rows, columns = np.nonzero((pixels == colour).all(axis=-1))
    if not len(rows):
        return None
    return int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1


UPRIGHT = ((200, 100), (0, 80, 20, 100), (180, 0, 200, 20))
QUARTER = ((100, 200), (0, 0, 20, 20), (80, 180, 100, 200))
THREE_QUARTERS = ((100, 200), (80, 180, 100, 200), (0, 0, 20, 20))
CROPPED = ((100, 50), (0, 30, 20, 50), None)


@pytest.mark.parametrize(
    ("page", "parent", "shown"),
    [
        (BOX, b"", UPRIGHT),
        (b"", BOX, UPRIGHT),
        (b"/MediaBox[200 100 0 0]", b"", UPRIGHT),
        (BOX + b"/Rotate 90", b"", QUARTER),
        (BOX, b"/Rotate 90", QUARTER),
        (BOX + b"/Rotate 0", b"/Rotate 90", UPRIGHT),
        (BOX + b"/Rotate 450", b"", QUARTER),
        (BOX + b"/Rotate -90", b"", THREE_QUARTERS),
        (BOX + b"/Rotate 45", b"", UPRIGHT),
        (BOX + b"/CropBox[0 0 100 50]", b"", CROPPED),
        (BOX, b"/CropBox[0 0 100 50]", CROPPED),
        (BOX + b"/CropBox[100 50 0 0]", b"", CROPPED),
        (BOX + b"/CropBox[-100 -100 400 400]", b"", UPRIGHT),
        (BOX + b"/CropBox[300 300 400 400]", b"", UPRIGHT),
        (BOX + b"/CropBox[0 0 0 0]", b"", UPRIGHT),
        (BOX + b"/TrimBox[10 10 50 50]/ArtBox[10 10 50 50]", b"", UPRIGHT),
        (b"/MediaBox[-50 -20 150 80]", b"", ((200, 100), (50, 60, 70, 80), None)),
        (BOX + b"/UserUnit 2", b"", ((400, 200), (0, 160, 40, 200), (360, 0, 400, 40))),
        (BOX + b"/UserUnit .5", b"", ((100, 50), (0, 40, 10, 50), (90, 0, 100, 10))),
        (BOX + b"/UserUnit 2/Rotate 90", b"", ((200, 400), (0, 0, 40, 40), (160, 360, 200, 400))),
        (BOX, b"/UserUnit 2", UPRIGHT),
        (BOX + b"/UserUnit 0", b"", UPRIGHT),
        (BOX + b"/UserUnit -2", b"", UPRIGHT),
    ],
)
def test_boxes_units_and_rotations_are_those_of_the_specification(page: bytes, parent: bytes, shown: object) -> None:
    pixels = draw(pdf(page, parent))
    assert (pixels.shape[1::-1], place(pixels, RED), place(pixels, BLUE)) == shown


def test_a_unit_is_found_in_a_stream_of_objects() -> None:
    objects = b"3 0 <</Type/Page/Parent 2 0 R/Contents 4 0 R/MediaBox[0 0 200 100]/UserUnit 2>>"
    packed = zlib.compress(objects)
    bodies = {
        1: b"<</Type/Catalog/Pages 2 0 R>>",
        2: b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        4: b"<</Length %d>>stream\n%b\nendstream" % (len(MARKS), MARKS),
        5: b"<</Type/ObjStm/N 1/First 4/Filter/FlateDecode/Length %d>>stream\n%b\nendstream" % (len(packed), packed),
    }
    data, rows = b"%PDF-1.7\n", {0: bytes((0, 0, 0, 0)), 3: bytes((2, 0, 5, 0))}
    for number, body in bodies.items():
        rows[number] = bytes((1, *divmod(len(data), 256), 0))
        data += b"%d 0 obj%b endobj\n" % (number, body)
    rows[6] = bytes((1, *divmod(len(data), 256), 0))
    table = b"".join(rows[number] for number in range(7))
    entries = b"/Type/XRef/Root 1 0 R/Size 7/W[1 2 1]/Length %d" % len(table)
    at = len(data)
    data += b"6 0 obj<<%b>>stream\n%b\nendstream endobj\nstartxref\n%d\n%%%%EOF" % (entries, table, at)
    assert b"UserUnit" not in data
    assert draw(data).shape == (200, 400, 3)


STAMP = b"5 0 obj<</Type/Annot/Subtype/Stamp/Rect[50 30 70 50]/AP<</N 6 0 R>>/F %d>>endobj\n"
SQUARE = b"1 0 0 rg 0 0 20 20 re f"
LOOKS = b"6 0 obj<</Subtype/Form/BBox[0 0 20 20]/Length %d>>stream\n%b\nendstream endobj" % (len(SQUARE), SQUARE)


@pytest.mark.parametrize(("flags", "shown"), [(0, True), (4, True), (2, False), (6, False), (32, False), (36, False)])
def test_stamps_are_drawn_unless_they_are_hidden(flags: int, shown: bool) -> None:
    data = pdf(BOX + b"/Annots[5 0 R]", more=STAMP % flags + LOOKS, content=b"")
    assert place(draw(data), RED) == ((50, 50, 70, 70) if shown else None)
