"""Drawn receipts whose every word is known: what it is, where it stands, and in which line a detector would find it.

Everything follows from the state of one `random.Random`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Final

from PIL import Image, ImageChops, ImageDraw

from ocrvl.models.fields.labels import Label
from ocrvl.models.words import Box, Word, split_line
from training.fields.composer import Composer, Truth
from training.fields.locales import LOCALES
from training.fields.rows import Cell, RowPlan
from training.fields.texts import ReceiptTexts
from training.nano.fonts import WORLD_FONTS, Face, FontFile, load_face
from training.nano.paint import colour
from training.nano.texts import Split

HELD_OUT_FONTS: Final = ("LiberationMono-Bold.ttf", "DejaVuSerif.ttf", "LiberationSans-Bold.ttf")
"""Fonts that the nano checkpoint reads and training of fields never sees."""

FONTS: Final = {
    Split.TRAINING: tuple(font for font in WORLD_FONTS if font.file not in HELD_OUT_FONTS),
    Split.HELD_OUT: tuple(font for font in WORLD_FONTS if font.file in HELD_OUT_FONTS),
}

_TINTS: Final = ((255, 236, 130), (205, 225, 245), (215, 240, 205), (250, 215, 205), (214, 214, 214))
_TABLES: Final = ((92, 70, 50), (60, 62, 66), (150, 145, 138))
_ON_A_TABLE: Final = 0.25
_ASCENT, _DESCENT = 0.8, 0.24
"""Of a line's box, in ems above and below its baseline."""

_LARGEST: Final = 24
"""Pixels of an em that the nano checkpoint still reads."""


@dataclass(frozen=True)
class Line:
    """Words that a detector finds as one line: their text, its box, and what each word is."""

    text: str
    box: Box
    labels: tuple[Label, ...]


@dataclass(frozen=True)
class DrawnReceipt:
    """A receipt: `words` with their true boxes and `labels`, and the `lines` they stand in.

    `on_band` says which words are printed on a coloured band: only the image shows it.
    """

    image: Image.Image
    words: tuple[Word, ...]
    labels: tuple[Label, ...]
    on_band: tuple[bool, ...]
    lines: tuple[Line, ...]
    truth: Truth

    def split_words(self) -> list[Word]:
        """The words with boxes as they are known when lines are read as a whole."""
        return [word for index, line in enumerate(self.lines) for word in split_line(line.text, line.box, index)]


class ReceiptWorld:
    """Draws receipts from words, shapes and fonts of one split."""

    def __init__(self, rng: Random, words: Sequence[str], split: Split, wear: float = 1.0) -> None:
        self.rng = rng
        self.words = words
        self.split = split
        self.wear = wear

    def receipt(self) -> DrawnReceipt:
        """The next receipt."""
        rng = self.rng
        texts = ReceiptTexts(rng, self.words, self.split, rng.choice(LOCALES))
        composer = Composer(rng, texts, self.split)
        rows = composer.compose()
        font = rng.choice(FONTS[self.split])
        return _Page(rng, rows, font, rng.randint(16, 20), self.wear).draw(composer.truth)


class _Page:
    """One receipt being drawn."""

    def __init__(self, rng: Random, rows: Sequence[RowPlan], font: FontFile, size: int, wear: float) -> None:
        self.rng, self.rows, self.font, self.size, self.wear = rng, rows, font, size, wear
        self.faces = [self._face(row) for row in rows]
        self.width = self._width()
        self.margin = size * rng.uniform(0.6, 2.5), size * rng.uniform(0.6, 2.5)
        self.gap = rng.uniform(0.9, 2.2)
        self.words: list[Word] = []
        self.labels: list[Label] = []
        self.on_band: list[bool] = []
        self.lines: list[Line] = []

    def draw(self, truth: Truth) -> DrawnReceipt:
        """Print all rows."""
        rng, size = self.rng, self.size
        pitch = size * rng.uniform(1.25, 1.7)
        heights = [pitch * max(1.0, row.scale) * (0.6 if row.has_rule else 1.0) for row in self.rows]
        total = sum(heights) + sum((row.space + 2 * row.around) * pitch for row in self.rows)
        left, top = self.margin
        page = round(self.width + left + size * rng.uniform(0.6, 2.5)), round(total + top + size * rng.uniform(0.4, 2))
        mask = Image.new("L", page, 0)
        pen, tint = ImageDraw.Draw(mask), Image.new("RGB", page, (255, 255, 255))
        colours, y = rng.choice(_TINTS), top
        for row, face, height in zip(self.rows, self.faces, heights, strict=True):
            around = row.around * pitch
            y += row.space * pitch + around
            if row.has_rule:
                pen.line((left, round(y + height / 2), left + self.width, round(y + height / 2)), fill=210)
            elif row.on_band:
                ImageDraw.Draw(tint).rectangle((0, y - around, page[0], y + height + around), fill=colours)
            self._print(pen, row, face, left, round(y + height / 2 + 0.3 * face.size))
            self.on_band += [row.on_band] * (len(self.words) - len(self.on_band))
            y += height + around
        image = ImageChops.multiply(colour(mask, rng, self.wear), tint)
        receipt = DrawnReceipt(
            image, tuple(self.words), tuple(self.labels), tuple(self.on_band), tuple(self.lines), truth
        )
        return _on_a_table(rng, receipt) if rng.random() < _ON_A_TABLE else receipt

    def _face(self, row: RowPlan) -> Face:
        size = min(_LARGEST, round(self.size * row.scale))
        bold = {"DejaVuSans.ttf": "DejaVuSans-Bold.ttf", "LiberationSerif-Regular.ttf": "LiberationSerif-Bold.ttf"}
        file = bold.get(self.font.file, self.font.file) if row.is_bold else self.font.file
        return load_face(FontFile(file, self.font.package), size)

    def _width(self) -> float:
        """Wide enough that no two cells of a row come closer than an em."""
        width = self.size * self.rng.uniform(13, 19)
        while not all(self._fits(row, face, width) for row, face in zip(self.rows, self.faces, strict=True)):
            width *= 1.06
        return width

    def _fits(self, row: RowPlan, face: Face, width: float) -> bool:
        end = -float(self.size)
        for cell in row.cells:
            start = _start(cell, face, width)
            if start < end + self.size:
                return False
            end = start + face.width(cell.text)
        return end <= width + 1

    def _print(self, pen: ImageDraw.ImageDraw, row: RowPlan, face: Face, left: float, baseline: int) -> None:
        line: list[int] = []
        end = 0.0
        top, bottom = baseline - _ASCENT * face.size, baseline + _DESCENT * face.size
        for cell in row.cells:
            text = cell.text
            x = round(left + _start(cell, face, self.width))
            if line and x - end > self.gap * face.size:
                self._close(line)
                line = []
            pen.text((x, baseline), text, fill=255, font=face.font, anchor="ls")
            edges, place = face.edges(text), 0
            for word, label in cell.tokens:
                line.append(len(self.words))
                box = (x + edges[place], top, x + edges[place + len(word)], bottom)
                self.words.append(Word(word, box, len(self.lines)))
                self.labels.append(label)
                place += len(word) + 1
            end = x + edges[-1]
        if line:
            self._close(line)

    def _close(self, line: list[int]) -> None:
        """What stands together is one line."""
        words = [self.words[index] for index in line]
        box = (words[0].box[0], words[0].box[1], words[-1].box[2], words[-1].box[3])
        labels = tuple(self.labels[index] for index in line)
        self.lines.append(Line(" ".join(word.text for word in words), box, labels))


def _on_a_table(rng: Random, receipt: DrawnReceipt) -> DrawnReceipt:
    """The receipt with a margin of another colour around it."""
    image = receipt.image
    left, top, right, bottom = (round(rng.uniform(0, 0.12) * side) for side in (*image.size, *image.size))
    table = Image.new("RGB", (image.width + left + right, image.height + top + bottom), _TABLES[rng.randrange(3)])
    table.paste(image, (left, top))

    def moved(box: Box) -> Box:
        return box[0] + left, box[1] + top, box[2] + left, box[3] + top

    return replace(
        receipt,
        image=table,
        words=tuple(Word(word.text, moved(word.box), word.line) for word in receipt.words),
        lines=tuple(replace(line, box=moved(line.box)) for line in receipt.lines),
    )


def _start(cell: Cell, face: Face, width: float) -> float:
    share = {"left": 0.0, "centre": 0.5, "right": 1.0}[cell.align]
    return cell.x * width - share * face.width(cell.text)
