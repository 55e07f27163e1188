"""Drawn documents, whose blocks, reading order and texts are known."""

from __future__ import annotations

import io
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Final

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from training.nano.phrases import BUILT_IN_WORDS

DPI: Final = 144
A4: Final = (1190, 1684)
"""Pixels of an A4 page at `DPI`."""

_FONT: Final = "DejaVuSerif.ttf"
_BOLD: Final = "DejaVuSerif-Bold.ttf"
_MARGIN: Final = 110
_GUTTER: Final = 50


@dataclass(frozen=True)
class DrawnBlock:
    """A block: PaddleOCR's label, its box (left, top, right, bottom), the text that is written in it."""

    label: str
    box: tuple[int, int, int, int]
    text: str


@dataclass
class DrawnPage:
    """A page, its blocks in reading order."""

    image: Image.Image
    blocks: list[DrawnBlock] = field(default_factory=list)


class Typesetter:
    """Fills pages from top to bottom; the same seed gives the same document."""

    def __init__(self, seed: int = 0, size: tuple[int, int] = A4) -> None:
        self._rng = Random(seed)
        self._size = size

    def page(self, number: int, *, columns: int = 1, figure: bool = False, table: bool = False) -> DrawnPage:
        """A page with a header, a title, paragraphs in columns, a figure or table if asked, and its number."""
        width, height = self._size
        page = DrawnPage(Image.new("RGB", self._size, "white"))
        pen = ImageDraw.Draw(page.image)
        self._write(page, pen, "header", self._words(4), (_MARGIN, 50), 15)
        top = self._write(
            page, pen, "paragraph_title", f"{number} {self._words(3).title()}", (_MARGIN, 110), 30, bold=True
        )
        room = (width - 2 * _MARGIN - (columns - 1) * _GUTTER) // columns
        bottom = height - 140
        for column in range(columns):
            left, here = _MARGIN + column * (room + _GUTTER), top + 40
            if column == columns - 1 and figure:
                here = self._figure(page, pen, (left, here, left + room, here + 300)) + 50
            if column == columns - 1 and table:
                here = self._table(page, pen, (left, here), room) + 50
            while here < bottom - 180:
                here = self._paragraph(page, pen, (left, here), room, self._rng.randint(5, 9)) + 45
        self._write(page, pen, "number", str(number), (width // 2, height - 80), 15)
        return page

    def _paragraph(
        self, page: DrawnPage, pen: ImageDraw.ImageDraw, place: tuple[int, int], room: int, lines: int
    ) -> int:
        font = ImageFont.truetype(_FONT, 20)
        text = ""
        rows: list[str] = []
        while len(rows) < lines:
            word = self._rng.choice(BUILT_IN_WORDS)
            if pen.textlength(f"{text} {word}", font) > room:
                rows.append(text)
                text = word
            else:
                text = f"{text} {word}".strip()
        left, top = place
        for row in rows:
            pen.text((left, top), row, "black", font)
            top += 29
        page.blocks.append(DrawnBlock("text", (*place, left + room, top), " ".join(rows)))
        return top

    def _figure(self, page: DrawnPage, pen: ImageDraw.ImageDraw, box: tuple[int, int, int, int]) -> int:
        left, top, right, bottom = box
        noise = np.random.default_rng(self._rng.randint(0, 9999)).integers(
            60, 200, ((bottom - top) // 20, (right - left) // 20, 3)
        )
        image = Image.fromarray(noise.astype(np.uint8)).resize((right - left, bottom - top), Image.Resampling.BICUBIC)
        page.image.paste(image, (left, top))
        page.blocks.append(DrawnBlock("image", box, ""))
        caption = f"Figure {self._rng.randint(1, 9)}. {self._words(3).capitalize()}"
        return self._write(page, pen, "figure_title", caption, (left + 40, bottom + 14), 17)

    def _table(self, page: DrawnPage, pen: ImageDraw.ImageDraw, place: tuple[int, int], room: int) -> int:
        left, top = place
        rows = [
            [self._words(1) for _ in range(3)],
            *([self._words(1), str(self._rng.randint(10, 99)), str(self._rng.randint(100, 999))] for _ in range(4)),
        ]
        font, step = ImageFont.truetype(_FONT, 18), 38
        bottom = top + step * len(rows)
        for number, row in enumerate(rows):
            for column, cell in enumerate(row):
                pen.text((left + 12 + column * room // 3, top + number * step + 8), cell, "black", font)
        for number in range(len(rows) + 1):
            pen.line((left, top + number * step, left + room, top + number * step), "black", 2)
        for column in range(4):
            pen.line((left + column * room // 3, top, left + column * room // 3, bottom), "black", 2)
        page.blocks.append(
            DrawnBlock("table", (left, top, left + room, bottom), "\n".join("\t".join(row) for row in rows))
        )
        return bottom

    def _write(
        self,
        page: DrawnPage,
        pen: ImageDraw.ImageDraw,
        label: str,
        text: str,
        place: tuple[int, int],
        size: int,
        *,
        bold: bool = False,
    ) -> int:
        font = ImageFont.truetype(_BOLD if bold else _FONT, size)
        pen.text(place, text, "black", font)
        box = tuple(map(round, pen.textbbox(place, text, font)))
        page.blocks.append(DrawnBlock(label, (box[0], box[1], box[2], box[3]), text))
        return box[3]

    def _words(self, count: int) -> str:
        return " ".join(self._rng.choices(BUILT_IN_WORDS, k=count))


def draw_document(pages: int, seed: int = 0) -> list[DrawnPage]:
    """Pages of all kinds in turn: one column and two, with a figure, with a table."""
    typesetter = Typesetter(seed)
    return [
        typesetter.page(number + 1, columns=1 + number % 2, figure=number % 3 == 1, table=number % 3 == 2)
        for number in range(pages)
    ]


def write_pdf(pages: Sequence[DrawnPage]) -> bytes:
    """The pages as a scan would have them: a PDF of images, at `DPI`."""
    file = io.BytesIO()
    first, *others = [page.image for page in pages]
    # the same pages are the same file
    dates = {"creationDate": time.gmtime(0), "modDate": time.gmtime(0)}
    first.save(file, "PDF", resolution=DPI, save_all=True, append_images=others, quality=92, **dates)
    return file.getvalue()
