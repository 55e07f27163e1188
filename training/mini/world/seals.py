"""Seals: text on a circle, a star or a line in the middle; the answer is the ring's text, then the rows within."""

from __future__ import annotations

import math

from PIL import Image, ImageDraw

from training.mini.world.fonts import Family
from training.mini.world.prose import Prose, printable
from training.mini.world.sheet import Placed, Sheet
from training.nano.fonts import Face


def print_seal(sheet: Sheet, prose: Prose, family: Family) -> str:
    """A seal in the middle of the sheet."""
    rng = prose.rng
    radius = 0.5 * min(sheet.width, sheet.height) - 3
    centre = (sheet.width / 2, sheet.height / 2)
    size = max(9, min(40, round(radius * rng.uniform(0.2, 0.3))))
    font = family.pick(rng, bold=rng.random() < 0.6)
    face = font.at(size)
    width = max(1, round(radius * rng.uniform(0.02, 0.05)))
    sheet.pen.ellipse(_around(centre, radius), outline=255, width=width)
    if rng.random() < 0.4:
        sheet.pen.ellipse(_around(centre, radius - 1.5 * width - 1), outline=255, width=1)
    inner = radius - width - 0.35 * size - 1
    reach = math.tau * rng.uniform(0.5, 0.85)
    text = printable(_ring_text(prose), font)
    text = face.fitted(text, reach * inner * 0.72)
    _print_ring(sheet, face, text, centre, inner - 0.5 * size, reach)
    rows = [text] if text else []
    if rng.random() < 0.6:
        label = printable(prose.label(), font)
        label = face.fitted(label, 1.1 * (inner - size))
        if label:
            sheet.text(centre[0] - face.width(label) / 2, centre[1] + 0.35 * size, label, face)
            rows.append(label)
    else:
        _print_star(sheet, centre, radius * rng.uniform(0.15, 0.3))
    return "\n".join(rows)


def _ring_text(prose: Prose) -> str:
    text = prose.phrase(2, 5)
    return text.upper() if prose.rng.random() < 0.5 else text


def _around(centre: tuple[float, float], radius: float) -> tuple[float, float, float, float]:
    return centre[0] - radius, centre[1] - radius, centre[0] + radius, centre[1] + radius


def _print_ring(sheet: Sheet, face: Face, text: str, centre: tuple[float, float], radius: float, reach: float) -> None:
    """Characters upright to the centre, clockwise, spread evenly around the top."""
    edges = face.edges(text)
    total = max(edges[-1], 1.0)
    spread = min(1.6, reach * radius / total)
    side = 2 * face.size
    for character, start, end in zip(text, edges, edges[1:], strict=False):
        angle = ((start + end) / 2 - total / 2) * spread / radius
        tile = Image.new("L", (side, side), 0)
        ImageDraw.Draw(tile).text((side / 2, side / 2 + 0.35 * face.size), character, 255, face.font, anchor="ms")
        tile = tile.rotate(-math.degrees(angle), Image.Resampling.BICUBIC)
        x, y = centre[0] + radius * math.sin(angle), centre[1] - radius * math.cos(angle)
        sheet.ink.paste(255, (round(x - side / 2), round(y - side / 2)), tile)
        sheet.characters.append(Placed(character, x, y))


def _print_star(sheet: Sheet, centre: tuple[float, float], radius: float) -> None:
    points = []
    for corner in range(10):
        length = radius if corner % 2 == 0 else 0.4 * radius
        angle = corner * math.pi / 5
        points.append((centre[0] + length * math.sin(angle), centre[1] - length * math.cos(angle)))
    sheet.pen.polygon(points, fill=255)
