"""Characters of a PDF that are drawn as nothing: their font is neither in the file nor on this machine."""

from __future__ import annotations

import ctypes
import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Final

import pypdfium2
import pypdfium2.raw as pdfium

_CHARACTERS_LOOKED_AT: Final = 2000
_OBJECTS_LOOKED_AT: Final = 20_000
"""Of a page, the characters spread over it: 20 us and 5 us each."""

_THINNEST: Final = 0.005
"""Of a character's box: without a glyph it is as wide as its font says and a thousandth of that high, where a dash is
ten times as high."""

_SMALLEST: Final = 0.1
"""Points: an object of one character without a glyph has none at all, a dot has one."""

_INVISIBLE: Final = {pdfium.FPDF_TEXTRENDERMODE_INVISIBLE, pdfium.FPDF_TEXTRENDERMODE_CLIP}
"""The text of a page that was scanned and read lies over its image and is not drawn."""

_ALWAYS_DRAWN: Final = ("Arial", "Courier", "Helvetica", "Symbol", "Times", "ZapfDingbats")
"""PDFium brings its own for these: what has no size in them are spaces."""

_LEAST_OBJECTS: Final = 3
_DEPTH: Final = 3
"""Of forms within forms."""

_NAMES_TOLD: Final = 3
_NAME_CHARACTERS: Final = 40


def describe_undrawn(page: Any) -> str:
    """What to say of characters of a page (pypdfium2's) that are drawn as nothing; empty where there are none.

    A character for which no glyph was found has a box as good as without a height. Spaces have that too, and so may
    have characters of fonts that the file carries, which are what their author made them. Characters that stand alone
    are none for PDFium's text page; they are found as objects without a size, where a font has no others.
    """
    if not (names := sorted(set(_fonts_of_characters(page)) | set(_fonts_of_objects(page)))):
        return ""
    return (
        f"text is not drawn, since the file does not carry its font ({', '.join(names[:_NAMES_TOLD])}) and the server "
        "has none with its characters"
    )


def _fonts_of_characters(page: Any) -> Iterator[str]:
    """The names of the fonts of characters that are drawn as nothing."""
    text_page = page.get_textpage()
    try:
        count = pdfium.FPDFText_CountChars(text_page)
        for place in range(0, count, -(-count // _CHARACTERS_LOOKED_AT) or 1):
            if _has_no_size(text_page, place) and _is_seen(chr(pdfium.FPDFText_GetUnicode(text_page, place))):
                drawn = pdfium.FPDFText_GetTextObject(text_page, place)
                if drawn and (name := _font_not_carried(drawn)):
                    yield name
    finally:
        text_page.close()


def _has_no_size(text_page: Any, place: int) -> bool:
    left, right, bottom, top = (ctypes.c_double() for _ in range(4))
    is_known = pdfium.FPDFText_GetCharBox(text_page, place, left, right, bottom, top)
    sides = sorted((abs(right.value - left.value), abs(top.value - bottom.value)))
    return bool(is_known) and sides[0] <= _THINNEST * sides[1]


def _is_seen(character: str) -> bool:
    return character.isprintable() and not character.isspace()


def _fonts_of_objects(page: Any) -> Iterator[str]:
    """The names of the fonts in which all that the page has are objects without a size."""
    sizes: dict[str, Counter[bool]] = {}
    objects = _objects(page, pdfium.FPDFPage_CountObjects, pdfium.FPDFPage_GetObject)
    for drawn in itertools.islice(objects, _OBJECTS_LOOKED_AT):
        name = _font_not_carried(drawn)
        if not name or name.startswith(_ALWAYS_DRAWN):
            continue
        left, bottom, right, top = (ctypes.c_float() for _ in range(4))
        if pdfium.FPDFPageObj_GetBounds(drawn, left, bottom, right, top):
            side = max(abs(right.value - left.value), abs(top.value - bottom.value))
            sizes.setdefault(name, Counter())[side > _SMALLEST] += 1
    for name, counts in sizes.items():
        if not counts[True] and counts[False] >= _LEAST_OBJECTS:
            yield name


def _objects(parent: Any, count: Any, get: Any, depth: int = 0) -> Iterator[Any]:
    """The text objects of a page, those of its forms included."""
    for number in range(min(count(parent), _OBJECTS_LOOKED_AT)):
        drawn = get(parent, number)
        kind = pdfium.FPDFPageObj_GetType(drawn)
        if kind == pdfium.FPDF_PAGEOBJ_TEXT:
            yield drawn
        elif kind == pdfium.FPDF_PAGEOBJ_FORM and depth < _DEPTH:
            yield from _objects(drawn, pdfium.FPDFFormObj_CountObjects, pdfium.FPDFFormObj_GetObject, depth + 1)


def _font_not_carried(drawn: Any) -> str:
    """The name of a text object's font where the file does not carry it and its text is to be seen; else empty."""
    if pdfium.FPDFTextObj_GetTextRenderMode(drawn) in _INVISIBLE:
        return ""
    font = pdfium.FPDFTextObj_GetFont(drawn)
    if not font or pdfium.FPDFFont_GetIsEmbedded(font):
        return ""
    name = ctypes.create_string_buffer(_NAME_CHARACTERS)
    pdfium.FPDFFont_GetBaseFontName(font, name, _NAME_CHARACTERS)
    return "".join(filter(str.isprintable, name.value.decode("utf-8", "replace"))) or "without a name"


_SCRIPTS: Final = (
    ("Chinese", "STSong-Light", "UniGB-UCS2-H", "GB1", "\N{CJK UNIFIED IDEOGRAPH-53D1}"),
    ("Japanese", "HeiseiMin-W3", "UniJIS-UCS2-H", "Japan1", "\N{CJK UNIFIED IDEOGRAPH-8ACB}"),
    ("Korean", "HYSMyeongJo-Medium", "UniKS-UCS2-H", "Korea1", "\N{HANGUL SYLLABLE SEO}"),
)
"""Of each the font that PDFs name most often without carrying it, its encoding and order, and a character."""


def undrawn_scripts() -> Sequence[str]:
    """Those of Chinese, Japanese and Korean that this machine has no font for."""
    undrawn = []
    for name, font, encoding, order, character in _SCRIPTS:
        file = pypdfium2.PdfDocument(write_character(font, encoding, order, character))
        page = file[0]
        if describe_undrawn(page):
            undrawn.append(name)
        page.close()
        file.close()
    return undrawn


def write_character(font: str, encoding: str, order: str, character: str) -> bytes:
    """A PDF with a character of a font that it does not carry."""
    # two of them: one alone is none for PDFium's text page
    code = 2 * character.encode("utf-16-be").hex()
    text = f"BT /F 20 Tf 10 10 Td <{code}> Tj ET"
    bodies = (
        "<</Type/Catalog/Pages 2 0 R>>",
        "<</Type/Pages/Kids[3 0 R]/Count 1>>",
        "<</Type/Page/Parent 2 0 R/MediaBox[0 0 40 40]/Resources<</Font<</F 4 0 R>>>>/Contents 7 0 R>>",
        f"<</Type/Font/Subtype/Type0/BaseFont/{font}-{encoding}/Encoding/{encoding}/DescendantFonts[5 0 R]>>",
        f"<</Type/Font/Subtype/CIDFontType0/BaseFont/{font}/DW 1000/FontDescriptor 6 0 R/CIDSystemInfo 8 0 R>>",
        f"<</Type/FontDescriptor/FontName/{font}/Flags 6/FontBBox[0 -200 1000 900]/Ascent 880/Descent -120/StemV 80>>",
        f"<</Length {len(text)}>>stream\n{text}\nendstream",
        f"<</Registry(Adobe)/Ordering({order})/Supplement 1>>",
    )
    # without a table of places, which PDFium makes itself
    objects = "".join(f"{number} 0 obj\n{body}\nendobj\n" for number, body in enumerate(bodies, 1))
    return f"%PDF-1.7\n{objects}trailer\n<</Root 1 0 R>>\n%%EOF\n".encode("ascii")
