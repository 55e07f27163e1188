"""Images of printed text whose every character is known: the world that the nano checkpoint is trained to read.

A row of a receipt has one space between its item and its price in the truth, however wide the gap; rows are joined by
newlines; a rule is a drawn line and has no text. Everything follows from the state of one `random.Random`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from training.nano.fonts import WORLD_FONTS, Face, FontFile, load_face
from training.nano.paint import Drawing, PlacedCharacter, Row, paint
from training.nano.phrases import BUILT_IN_WORDS
from training.nano.texts import TextSource

__all__ = ["Drawing", "Look", "PlacedCharacter", "World", "draw_rows"]


@dataclass(frozen=True)
class Look:
    """What a world's images look like.

    Sizes are the em in pixels, both ends included; `wear` scales noise, blur and JPEG loss, 0 for none.
    """

    fonts: tuple[FontFile, ...] = WORLD_FONTS
    sizes: tuple[int, int] = (16, 24)
    wear: float = 1.0


class World:
    """Draws single lines, receipts, paragraphs and blank images.

    Where a method takes `size` (width and height of the image, pixels), the text is made to fit it; otherwise the
    image is made to fit the text.
    """

    def __init__(self, rng: Random, words: Sequence[str] = BUILT_IN_WORDS, look: Look | None = None) -> None:
        self.rng = rng
        self.texts = TextSource(rng, words)
        self.look = look or Look()

    def line(self, text: str | None = None, size: tuple[int, int] | None = None) -> Drawing:
        """One line of text, anywhere in the image; at most 44 characters if `text` is left to the world."""
        rng = self.rng
        face = self._face(size[1] if size else None)
        text = self.texts.line()[:44].rstrip() if text is None else text
        if size is None:
            margin = rng.uniform(0.1, 0.9) * face.size
            size = (
                round(face.width(text) + 2 + margin * rng.uniform(0.6, 2)),
                round(1.05 * face.size + margin * rng.uniform(0.4, 2)),
            )
        else:
            while len(text) < 44 and face.width(text) < rng.uniform(0.2, 0.9) * size[0]:
                text = f"{text} {self.texts.line()}"
            text = face.fitted(text[:44], size[0] - 2)
        row = Row(face, _anywhere(rng, size[1], face))
        row.add(1 + rng.random() * max(size[0] - 2 - face.width(text), 0), text)
        return paint(rng, size, [row], (), self.look.wear)

    def paragraph(self, size: tuple[int, int], capacity: int = 400) -> Drawing:
        """Running text on several lines, left-aligned, at most `capacity` characters."""
        rng = self.rng
        face = self._face(size[1])
        rows = self._empty_rows(face, size, rng.randint(2, 8))
        left, right = self._margins(face, size)
        for row in rows:
            text = self.texts.phrase(rng.randint(1, 4)) if rng.random() < 0.7 else self.texts.line()
            while face.width(text) < (right - left) * rng.uniform(0.6, 1.0):
                text = f"{text} {self.texts.phrase(2) if rng.random() < 0.7 else self.texts.line()}"
            row.add(left, face.fitted(text, right - left))
        return paint(rng, size, _within(rows, capacity), (), self.look.wear)

    def receipt(self, lines: int | None = None, size: tuple[int, int] | None = None, capacity: int = 400) -> Drawing:
        """A receipt of up to 8 rows: headers, items with prices at the right edge, sums, a closing line, rules."""
        rng = self.rng
        face = self._face(size[1] if size else None)
        lines = lines or rng.randint(2, 8)
        if size is None:
            pitch = rng.uniform(1.2, 1.6) * face.size
            width = face.size * rng.uniform(13, 19)
            size = round(width), round(lines * pitch + face.size * rng.uniform(0.2, 1.2))
        rows = self._empty_rows(face, size, lines)
        left, right = self._margins(face, size)
        kinds = self._kinds(len(rows))
        amount_columns = rng.random() < 0.2
        for row, kind in zip(rows, kinds, strict=True):
            if kind in ("header", "closing"):
                text = face.fitted(self.texts.header() if kind == "header" else self.texts.closing(), right - left)
                row.add(left + (right - left - face.width(text)) / 2, text)
                continue
            price = face.fitted(self.texts.price(), (right - left) * 0.6)
            edge = right - face.width(price)
            name = self.texts.item() if kind == "item" else self.texts.sum_name()
            if amount_columns and kind == "item":
                amount = str(rng.randint(1, 20))
                place = edge - face.size * 1.2 - face.width(amount)
                row.add(left, face.fitted(name, place - left - face.size * 0.8))
                if row.runs:
                    row.add(place, amount)
            else:
                row.add(left, face.fitted(name, edge - left - face.size * 0.8))
            row.add(edge, price)
        rows = _within(rows, capacity)
        rules = [
            (left, (above.baseline + 0.25 * face.size + below.baseline - 0.8 * face.size) / 2, right)
            for above, below, kind in zip(rows, rows[1:], kinds[1:], strict=False)
            if kind == "sum" and below.baseline - above.baseline > 1.25 * face.size and rng.random() < 0.4
        ]
        return paint(rng, size, rows, rules, self.look.wear)

    def blank(self, size: tuple[int, int]) -> Drawing:
        """An image with nothing printed on it: its text is empty."""
        return paint(self.rng, size, [], (), self.look.wear)

    def _face(self, height: int | None) -> Face:
        smallest, largest = self.look.sizes
        if height is not None:
            largest = max(smallest, min(largest, int(height / 1.04)))
        return load_face(self.rng.choice(self.look.fonts), self.rng.randint(smallest, largest))

    def _empty_rows(self, face: Face, size: tuple[int, int], lines: int) -> list[Row]:
        """As many rows as fit, up to `lines`, spread over the height or crowded anywhere in it."""
        room = size[1] - 1.04 * face.size
        lines = max(1, min(lines, 1 + int(room / (1.15 * face.size))))
        widest = room / (lines - 1) if lines > 1 else 0.0
        pitch = min(widest, self.rng.uniform(1.15, 1.75) * face.size)
        first = 0.8 * face.size + self.rng.random() * max(room - pitch * (lines - 1), 0)
        return [Row(face, first + place * pitch) for place in range(lines)]

    def _margins(self, face: Face, size: tuple[int, int]) -> tuple[float, float]:
        """Left and right edge of the printed area."""
        most = min(1.2 * face.size, 0.15 * size[0])
        return 1 + self.rng.random() * most, size[0] - 1 - self.rng.random() * most

    def _kinds(self, count: int) -> list[str]:
        """What each row of a receipt is, from the top."""
        rng = self.rng
        headers = min(rng.choice((0, 1, 1, 2, 3)), max(count - 1, 0))
        closing = int(count - headers >= 3 and rng.random() < 0.4)
        sums = min(rng.choice((0, 1, 1, 2, 3)), max(count - headers - closing - 1, 0))
        items = count - headers - closing - sums
        return ["header"] * headers + ["item"] * items + ["sum"] * sums + ["closing"] * closing


def draw_rows(lines: Sequence[str], font: FontFile, size: int, rng: Random | None = None, wear: float = 0.0) -> Drawing:
    """Given lines, left-aligned, in an image that fits them; black on white unless `rng` chooses otherwise."""
    face = load_face(font, size)
    pitch = 1.4 * size
    rows = [Row(face, size + place * pitch) for place in range(len(lines))]
    for row, text in zip(rows, lines, strict=True):
        row.add(0.5 * size, text)
    width = max((face.width(text) for text in lines), default=0) + size
    return paint(rng, (round(width), round(pitch * len(lines) + 0.2 * size)), rows, (), wear)


def _anywhere(rng: Random, height: int, face: Face) -> float:
    """A baseline that leaves ascenders and descenders inside the image."""
    return 0.8 * face.size + rng.random() * max(height - 1.04 * face.size, 0)


def _within(rows: Sequence[Row], capacity: int) -> list[Row]:
    """The first rows whose text, newlines included, has at most `capacity` characters."""
    kept: list[Row] = []
    for row in rows:
        capacity -= sum(len(text) + 1 for _, text in row.runs)
        if capacity < 0:
            break
        kept.append(row)
    return [row for row in kept if row.runs]
