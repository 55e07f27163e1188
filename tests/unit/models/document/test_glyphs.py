"""`ocrvl.models.document.glyphs`: text of PDFs that is drawn as nothing is said, and no other."""

from __future__ import annotations

import numpy as np
import pytest

from ocrvl.models.document.glyphs import undrawn_scripts, write_character
from ocrvl.models.document.pdfium import PdfFile
from stress.fuzz.seeds import write_pdf

CHINESE = ("STSong-Light", "UniGB-UCS2-H", "GB1", "\N{CJK UNIFIED IDEOGRAPH-53D1}")


def draw(data: bytes) -> tuple[bool, str]:
    """Whether there is ink on the first page, and what is said of it."""
    file = PdfFile(data)
    pixels, warning = file.draw(0, dpi=144, max_pixels=1_000_000, max_side=1000)
    file.close()
    return bool((np.asarray(pixels) < 128).any()), warning


def latin(text: str, font: str = "Helvetica") -> bytes:
    """A PDF with a line in a font that it does not carry."""
    page = (
        "<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 40]/Contents 4 0 R"
        f"/Resources<</Font<</F<</Type/Font/Subtype/Type1/BaseFont/{font}>>>>>>>>"
    )
    return write_pdf([page.encode(), f"<</Length {len(text)}>>stream\n{text}\nendstream".encode()])


@pytest.mark.parametrize("one_by_one", [False, True])
def test_text_in_a_font_that_nobody_has_is_drawn_or_said(one_by_one: bool) -> None:
    data = write_character(*CHINESE)
    if one_by_one:
        data = data.replace(b"Td <53d153d1> Tj", b"Td " + b"<53d1> Tj " * 3).replace(b"/Length 37", b"/Length 55")
    ink, warning = draw(data)
    assert ink != ("text is not drawn, since the file does not carry its font (STSong-Light)" in warning)
    assert ink == ("Chinese" not in undrawn_scripts())


@pytest.mark.parametrize(
    "text",
    [
        "BT /F 12 Tf 4 20 Td (The boat leaves at noon) Tj ET",
        "BT /F 12 Tf 4 20 Td (a) Tj (b) Tj (.) Tj (-) Tj ET",
        "BT /F 12 Tf 4 20 Td (--------) Tj 0 -9 Td (______) Tj ET",
        "BT /F 12 Tf 4 20 Td (a b) Tj ( ) Tj ( ) Tj ( ) Tj (   ) Tj ET",
        "BT /F 12 Tf 4 20 Td ( ) Tj ET 0 0 9 9 re f",
    ],
)
@pytest.mark.parametrize("font", ["Helvetica", "Verdana"])
def test_nothing_is_said_of_letters_and_spaces_that_are_drawn(font: str, text: str) -> None:
    assert draw(latin(text, font)) == (True, "")


def test_nothing_is_said_of_text_that_is_not_to_be_seen() -> None:
    data = write_character(*CHINESE).replace(b"BT /F 20 Tf", b"BT 3 Tr /F 20 Tf").replace(b"/Length 37", b"/Length 42")
    assert draw(data) == (False, "")
