"""Images to send, by size: a line, a receipt, pages as scanners make them. Each drawn one is distinct."""

from __future__ import annotations

import io
from collections.abc import Iterator
from enum import StrEnum
from random import Random

from PIL import Image

from perf.harness.documents import Typesetter, write_pdf
from training.nano.fonts import WORLD_FONTS, load_face
from training.nano.paint import Row, paint
from training.nano.phrases import BUILT_IN_WORDS
from training.nano.texts import TextSource
from training.nano.world import World


class SizeClass(StrEnum):
    """What an image shows. A line and a receipt are PNG files, pages are JPEG files, a document is a PDF."""

    LINE = "line"
    RECEIPT = "receipt"
    A4_150 = "a4-150"
    A4_300 = "a4-300"
    DOCUMENT = "document"


_DPI = {SizeClass.A4_150: 150, SizeClass.A4_300: 300}
_A4_INCHES = (8.27, 11.69)
_MARGIN_INCHES = 0.9
_TEXT_INCHES = 11 / 72
_LINE_PITCH = 1.4
_RECEIPT_ROWS = 6
_JPEG_QUALITY = 90
_DOCUMENT_PAGES = 2


def draw_files(size_class: SizeClass, seed: int = 0) -> Iterator[bytes]:
    """Encoded images without end, no two alike; the same seed draws the same ones."""
    rng = Random(seed)
    world = World(rng)
    while True:
        match size_class:
            case SizeClass.LINE:
                yield world.line().png()
            case SizeClass.RECEIPT:
                yield world.receipt(_RECEIPT_ROWS).png()
            case SizeClass.DOCUMENT:
                typesetter = Typesetter(rng.randrange(2**32))
                yield write_pdf([typesetter.page(number + 1, columns=2) for number in range(_DOCUMENT_PAGES)])
            case _:
                yield _encode_jpeg(_draw_page(rng, _DPI[size_class]))


def _draw_page(rng: Random, dpi: int) -> Image.Image:
    """An A4 page full of running text of 11 points, RGB."""
    width, height = (round(inches * dpi) for inches in _A4_INCHES)
    margin = round(_MARGIN_INCHES * dpi)
    face = load_face(rng.choice(WORLD_FONTS), round(_TEXT_INCHES * dpi))
    texts = TextSource(rng, BUILT_IN_WORDS)
    rows = []
    for baseline in range(margin + face.size, height - margin, round(_LINE_PITCH * face.size)):
        text = texts.phrase(6)
        while face.width(text) < width - 2 * margin:
            text = f"{text} {texts.phrase(4)}"
        row = Row(face, baseline)
        row.add(margin, face.fitted(text, width - 2 * margin))
        rows.append(row)
    return paint(rng, (width, height), rows, (), wear=0.0).image


def _encode_jpeg(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=_JPEG_QUALITY)
    return buffer.getvalue()
