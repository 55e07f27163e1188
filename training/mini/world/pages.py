"""Blocks of text as documents have them: titles, paragraphs, lists, programs, receipts; what `OCR:` asks for.

The answer has a newline for each printed row and one space for each gap, as nano's has.
"""

from __future__ import annotations

from random import Random

from training.mini.world.fonts import Family, Font
from training.mini.world.prose import Prose, printable
from training.mini.world.sheet import Sheet
from training.nano.fonts import Face


def pick_size(rng: Random, sizes: tuple[int, int], height: int, width: int) -> int:
    """An em in pixels: most between 12 and 26, none that leaves no room for a row or for some letters."""
    least, most = sizes
    size = rng.choice((rng.randint(9, 14), rng.randint(12, 20), rng.randint(14, 26), rng.randint(18, 40)))
    if not least <= size <= most:
        size = rng.randint(least, most)
    return max(9, min(size, int(height / 1.1), width // 3))


def print_line(sheet: Sheet, prose: Prose, family: Family) -> str:
    """One line anywhere on the sheet, or as much of one as it holds."""
    rng = prose.rng
    face, font = _face(sheet, rng, family)
    wanted = rng.uniform(0.25, 0.95) * sheet.width
    text = printable(prose.phrase(1, 8), font)
    while face.width(text) < wanted and len(text) < 200:
        text = f"{text} {printable(prose.phrase(1, 8), font)}".strip()
    text = _fitted(face, text, sheet.width - 2)
    x = 1 + rng.random() * max(0.0, sheet.width - 2 - face.width(text))
    baseline = 0.8 * face.size + rng.random() * max(0.0, sheet.height - 1.05 * face.size)
    sheet.text(x, baseline, text, face)
    return text


def print_block(sheet: Sheet, prose: Prose, family: Family, most: int) -> str:
    """A column of rows of at most `most` characters: a paragraph or several, a list, a program; or a receipt."""
    rng = prose.rng
    if sheet.width < 500 and rng.random() < 0.12:
        return _print_receipt(sheet, prose, family)
    face, font = _face(sheet, rng, family)
    pitch = face.size * rng.uniform(1.05, 1.7)
    left, right = 1 + rng.random() * 0.08 * sheet.width, sheet.width - 1 - rng.random() * 0.08 * sheet.width
    top = 0.85 * face.size + rng.random() * 0.1 * sheet.height
    rows = min(40, 1 + int((sheet.height - 0.25 * face.size - top) / pitch))
    if rng.random() < 0.35:
        rows = rng.randint(1, max(1, rows))
    per_row = max(1.0, (right - left) / max(1.0, face.width("en ro") / 5))
    words = prose.running(min(most, round(rows * per_row)))
    style = rng.choice(("left", "left", "left", "justified", "justified", "centred", "list"))
    printed: list[str] = []
    place = 0
    for row in range(rows):
        ends = rng.random() < 0.08
        indent = face.size * 1.5 if style == "list" and printed else 0.0
        count = _words_that_fit(face, words[place:], (right - left - indent) * (rng.uniform(0.2, 0.9) if ends else 1))
        text = printable(" ".join(words[place : place + count]), font)
        if not text or sum(len(line) + 1 for line in printed) + len(text) > most:
            break
        place += count
        _print_row(sheet, face, text, (left + indent, right, top + row * pitch), style, stretched=not ends)
        printed.append(text)
    return "\n".join(printed)


def _print_row(
    sheet: Sheet, face: Face, text: str, place: tuple[float, float, float], style: str, *, stretched: bool
) -> None:
    left, right, baseline = place
    room = right - left - face.width(text)
    words = text.split(" ")
    if style == "centred":
        left += max(0.0, room) / 2
    gap = room / max(1, len(words) - 1)
    if style == "justified" and stretched and 0 < gap < 1.2 * face.size:
        space = face.width(" ")
        for number, word in enumerate(words):
            end = sheet.text(left, baseline, word, face)
            left = end + space + gap
            if number < len(words) - 1:
                sheet.space(end, left, baseline, face)
        return
    sheet.text(left, baseline, text, face)


def _print_receipt(sheet: Sheet, prose: Prose, family: Family) -> str:
    """Names on the left, prices on the right, one space between them in the answer."""
    rng, source = prose.rng, prose.source
    face, font = _face(sheet, rng, family)
    pitch = face.size * rng.uniform(1.1, 1.6)
    rows = max(1, min(24, int((sheet.height - 0.3 * face.size) / pitch)))
    left, right = 2 + rng.random() * 0.05 * sheet.width, sheet.width - 2 - rng.random() * 0.05 * sheet.width
    printed = []
    for row in range(rows):
        baseline = 0.85 * face.size + row * pitch
        if row < 2 and rng.random() < 0.5:
            text = _fitted(face, printable(source.header(), font), right - left)
            sheet.text(left + (right - left - face.width(text)) / 2, baseline, text, face)
        else:
            price = _fitted(face, printable(source.price(), font), (right - left) / 2)
            edge = right - face.width(price)
            name = printable(rng.choice((source.item, source.sum_name))(), font)
            name = _fitted(face, name, edge - left - face.size)
            end = sheet.text(left, baseline, name, face) if name else left
            if name:
                sheet.space(end, edge, baseline, face)
            sheet.text(edge, baseline, price, face)
            text = f"{name} {price}".strip()
        if text:
            printed.append(text)
    return "\n".join(printed)


def _face(sheet: Sheet, rng: Random, family: Family) -> tuple[Face, Font]:
    font = family.any(rng)
    return font.at(pick_size(rng, sheet.sizes, sheet.height, sheet.width)), font


def _fitted(face: Face, text: str, width: float) -> str:
    return text if face.width(text) <= width else face.fitted(text, width)


def _words_that_fit(face: Face, words: list[str], width: float) -> int:
    """How many words fit on a row: one at least, unless it is too wide by itself."""
    reach, space = 0.0, face.width(" ")
    for count, word in enumerate(words[:80]):
        reach += face.width(word) + (space if count else 0)
        if reach > width:
            return count
    return min(len(words), 80)
