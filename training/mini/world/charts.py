"""Bars, lines and pies of a few values, answered as a table.

A row a line, cells with ` | ` between them, the first row its head: what `format_chart2html_table` of
`paddlex/inference/common/result/converter/markdown_format_funcs.py` makes a table of.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from training.mini.world.fonts import Family
from training.mini.world.prose import Prose, printable
from training.mini.world.sheet import Sheet
from training.nano.fonts import Face

_SHADES = (230, 90, 160, 50)


@dataclass(frozen=True)
class Chart:
    """Values by series, each with a value for every name."""

    head: str
    names: Sequence[str]
    series: Sequence[str]
    values: Sequence[Sequence[int]]

    def as_table(self) -> str:
        """The answer."""
        rows = [" | ".join((self.head, *self.series))]
        for place, name in enumerate(self.names):
            rows.append(" | ".join((name, *(str(values[place]) for values in self.values))))
        return "\n".join(rows)


def print_chart(sheet: Sheet, prose: Prose, family: Family) -> str:
    """A chart that fills the sheet, its values printed on it."""
    rng = prose.rng
    size = max(9, min(22, sheet.height // 14, sheet.width // 22))
    font = family.pick(rng)
    face = font.at(size)
    kind = rng.choice(("bars", "bars", "lines", "pie"))
    count = rng.randint(2, 6)
    series = 1 if kind == "pie" or rng.random() < 0.5 else rng.randint(2, 3)
    room = (sheet.width - 2 * size) / count * 0.9
    names = []
    for number in range(count):
        name = prose.label() if rng.random() < 0.6 else str(rng.randint(1990, 2030) + number)
        names.append(face.fitted(printable(name.replace("|", ""), font), max(room, 3 * size)) or str(number + 1))
    widest = (sheet.width - (2 + 1.8 * series) * size) / (series + 1)
    labels = [printable(prose.label().replace("|", ""), font) for _ in range(series + 1)]
    heads = [face.fitted(label, widest) or "A" for label in labels]
    top = 10 ** rng.randint(1, 3)
    values = [[rng.randint(max(1, top // 20), top) for _ in range(count)] for _ in range(series)]
    chart = Chart(heads[0], names, heads[1:], values)
    _print_heads(sheet, face, heads)
    if kind == "pie":
        _print_pie(sheet, face, chart)
    else:
        _print_axes(sheet, face, chart, joined=kind == "lines")
    return chart.as_table()


def _print_heads(sheet: Sheet, face: Face, heads: Sequence[str]) -> None:
    """The names' head at the left of the top, a legend behind it."""
    x, baseline = 0.5 * face.size, 1.1 * face.size
    x = sheet.text(x, baseline, heads[0], face) + face.size
    for shade, head in zip(_SHADES, heads[1:], strict=False):
        sheet.pen.rectangle((x, baseline - 0.7 * face.size, x + 0.7 * face.size, baseline), fill=shade, outline=255)
        x = sheet.text(x + face.size, baseline, head, face) + 0.8 * face.size


def _print_axes(sheet: Sheet, face: Face, chart: Chart, *, joined: bool) -> None:
    size = face.size
    bottom, top = sheet.height - 1.8 * size, 3.2 * size
    left, right = size, sheet.width - size
    most = max(max(values) for values in chart.values)
    step = (right - left) / len(chart.names)
    sheet.rule(left, bottom, right, bottom)
    sheet.rule(left, top, left, bottom)
    for place, name in enumerate(chart.names):
        middle = left + (place + 0.5) * step
        sheet.text(middle - face.width(name) / 2, sheet.height - 0.5 * size, name, face)
    for number, values in enumerate(chart.values):
        points = []
        for place, value in enumerate(values):
            high = bottom - (bottom - top) * value / most
            wide = step * 0.7 / len(chart.values)
            x = left + place * step + 0.15 * step + wide * (number + 0.5)
            if joined:
                x = left + (place + 0.5) * step
                sheet.pen.ellipse((x - 2, high - 2, x + 2, high + 2), fill=_SHADES[number])
            else:
                sheet.pen.rectangle((x - wide / 2, high, x + wide / 2, bottom), fill=_SHADES[number], outline=255)
            text = str(value)
            sheet.text(x - face.width(text) / 2, high - 0.25 * size, text, face)
            points.append((x, high))
        if joined:
            sheet.pen.line(points, fill=_SHADES[number], width=2)


def _print_pie(sheet: Sheet, face: Face, chart: Chart) -> None:
    size = face.size
    radius = min(sheet.width / 2 - 5 * size, sheet.height / 2 - 3 * size)
    radius = max(radius, 1.5 * size)
    x, y = sheet.width / 2, sheet.height / 2 + 0.8 * size
    total, start = sum(chart.values[0]), -90.0
    for place, (name, value) in enumerate(zip(chart.names, chart.values[0], strict=True)):
        end = start + 360 * value / total
        sheet.pen.pieslice((x - radius, y - radius, x + radius, y + radius), start, end, _SHADES[place % 4], 255)
        middle = math.radians((start + end) / 2)
        text = f"{name} {value}"
        across = x + 1.2 * radius * math.cos(middle)
        across -= face.width(text) if math.cos(middle) < 0 else 0
        across = min(max(1.0, across), max(1.0, sheet.width - 1 - face.width(text)))
        sheet.text(across, y + 1.2 * radius * math.sin(middle) + 0.35 * size, text, face)
        start = end
