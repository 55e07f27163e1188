"""Lines of text here and there on a sheet; the answer has each line's text and its box.

A box is eight tokens after its text: x and y of its corners from the top left clockwise, in thousandths of the image's
sides (`post_process_for_spotting` of `paddlex/inference/pipelines/paddleocr_vl/uilts.py`, its second way to read).
"""

from __future__ import annotations

from training.mini.world.fonts import Family
from training.mini.world.pages import pick_size
from training.mini.world.prose import Prose, printable
from training.mini.world.sheet import Box, Sheet, ink_box


def places_of(box: Box, width: int, height: int) -> str:
    """A box as tokens."""
    left, right = _thousandths(box.left, width), _thousandths(box.right, width)
    top, bottom = _thousandths(box.top, height), _thousandths(box.bottom, height)
    corners = (left, top, right, top, right, bottom, left, bottom)
    return "".join(f"<|LOC_{place}|>" for place in corners)


def print_spots(sheet: Sheet, prose: Prose, family: Family, most: int) -> str:
    """Up to 14 lines, from the top, two beside each other now and then; at most about `most` tokens of answer."""
    rng = prose.rng
    answer: list[str] = []
    top = rng.uniform(0, 0.1) * sheet.height
    count = max(1, min(14, most // 16))
    while len(answer) < count:
        size = pick_size(rng, sheet.sizes, max(12, sheet.height // 3), sheet.width)
        if top + 1.1 * size > sheet.height:
            break
        font = family.any(rng)
        face, baseline = font.at(size), top + 0.85 * size
        left = 1 + rng.uniform(0, 0.35) * sheet.width
        while left < 0.8 * sheet.width and len(answer) < count:
            text = face.fitted(printable(prose.phrase(1, 5), font), sheet.width - 2 - left)
            if not text:
                break
            box = ink_box(left, baseline, text, face)
            right = sheet.text(left, baseline, text, face)
            answer.append(text + places_of(box, sheet.width, sheet.height))
            left = right + size * rng.uniform(2, 8)
            if rng.random() < 0.7:
                break
        top += size * rng.uniform(1.2, 3.5)
    return "".join(answer)


def _thousandths(place: float, side: int) -> int:
    return min(1000, max(0, round(1000 * place / side)))
