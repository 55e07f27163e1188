"""Tables, answered in OTSL as PaddleX reads it.

`otsl_parse_texts` of `paddlex/inference/pipelines/paddleocr_vl/uilts.py`: a row is its cells and `<nl>`; a cell is
`<fcel>` and its text, or `<ecel>`; what a cell covers to its right is `<lcel>`, below it `<ucel>`, both `<xcel>`.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from training.mini.world.fonts import Family
from training.mini.world.pages import pick_size
from training.mini.world.prose import Prose, printable
from training.mini.world.sheet import Sheet
from training.nano.fonts import Face


@dataclass(frozen=True)
class Cell:
    """A cell's text and how many columns and rows it covers."""

    text: str
    across: int = 1
    down: int = 1


Grid = list[list[Cell | str]]
"""Rows of cells; in the place of what another cell covers stands `<lcel>`, `<ucel>` or `<xcel>`."""


def as_otsl(grid: Grid) -> str:
    """The grid as the model answers it."""
    rows = []
    for row in grid:
        cells = [cell if isinstance(cell, str) else f"<fcel>{cell.text}" if cell.text else "<ecel>" for cell in row]
        rows.append("".join(cells) + "<nl>")
    return "".join(rows)


def print_table(sheet: Sheet, prose: Prose, family: Family, most: int) -> str:
    """A table that fills the sheet, of at most about `most` characters; its answer."""
    rng = prose.rng
    size = pick_size(rng, sheet.sizes, sheet.height // 3, max(30, sheet.width // 4))
    font = family.any(rng)
    face, bold = font.at(size), family.pick(rng, bold=True).at(size)
    columns = max(2, min(8, round(sheet.width / (size * rng.uniform(4, 9)))))
    rows = max(2, min(14, int(sheet.height / (size * rng.uniform(1.4, 2.2))), most // (8 * columns)))
    lefts = _edges(rng, columns, sheet.width)
    tops = [2 + row * (sheet.height - 4) / rows for row in range(rows + 1)]
    grid = _grid(prose, rows, columns)
    for row, cells in enumerate(grid):
        for column, cell in enumerate(cells):
            if isinstance(cell, Cell) and cell.text:
                right = lefts[column + cell.across]
                used = bold if row == 0 else face
                text = used.fitted(printable(cell.text, font), right - lefts[column] - 0.6 * size)
                cells[column] = Cell(text, cell.across, cell.down)
                box = (lefts[column], tops[row], right, tops[row + cell.down])
                _print_cell(sheet, used, text, box, "left" if column == 0 else rng.choice(("left", "right", "centre")))
    _print_rules(sheet, rng, grid, lefts, tops)
    return as_otsl(grid)


def _edges(rng: Random, columns: int, width: int) -> list[float]:
    shares = [rng.uniform(0.7, 1.6) for _ in range(columns)]
    edges = [2.0]
    for share in shares:
        edges.append(edges[-1] + share * (width - 4) / sum(shares))
    return edges


def _grid(prose: Prose, rows: int, columns: int) -> Grid:
    """Texts in a grid: names in its first row and column, numbers or words elsewhere, one cell in twelve empty."""
    rng = prose.rng
    wordy = [rng.random() < 0.35 for _ in range(columns)]
    grid: Grid = []
    for row in range(rows):
        texts = [
            prose.label() if row == 0 or column == 0 or wordy[column] else prose.number() for column in range(columns)
        ]
        grid.append([Cell("" if rng.random() < 0.08 else text) for text in texts])
    if rng.random() < 0.4:
        for _ in range(rng.randint(1, 2)):
            _merge(rng, grid)
    return grid


def _merge(rng: Random, grid: Grid) -> None:
    """Let one cell cover its neighbours, where none of them is covered already."""
    rows, columns = len(grid), len(grid[0])
    row, column = rng.randrange(rows), rng.randrange(columns)
    across, down = rng.choice(((2, 1), (3, 1), (1, 2), (1, 3), (2, 2)))
    across, down = min(across, columns - column), min(down, rows - row)
    area = [(at, to) for at in range(row, row + down) for to in range(column, column + across)]
    if len(area) < 2 or any(grid[at][to] != Cell(getattr(grid[at][to], "text", "")) for at, to in area):
        return
    first = grid[row][column]
    for at, to in area:
        grid[at][to] = "<xcel>" if at > row and to > column else "<ucel>" if at > row else "<lcel>"
    grid[row][column] = Cell(getattr(first, "text", "") or "1", across, down)


def _print_cell(sheet: Sheet, face: Face, text: str, box: tuple[float, float, float, float], side: str) -> None:
    left, top, right, bottom = box
    room = right - left - 0.6 * face.size - face.width(text)
    x = left + 0.3 * face.size + {"left": 0.0, "right": room, "centre": room / 2}[side]
    sheet.text(x, (top + bottom) / 2 + 0.35 * face.size, text, face)


def _print_rules(sheet: Sheet, rng: Random, grid: Grid, lefts: list[float], tops: list[float]) -> None:
    """Lines around all cells, under rows, around the head alone, or none."""
    style = rng.choice(("all", "all", "rows", "booktabs", "none"))
    width = rng.choice((1, 1, 1, 2))
    if style == "none":
        return
    for row in range(len(tops)):
        if style == "booktabs" and row not in (0, 1, len(tops) - 1):
            continue
        for column in range(len(lefts) - 1):
            if 0 < row < len(grid) and grid[row][column] in ("<ucel>", "<xcel>"):
                continue
            sheet.rule(lefts[column], tops[row], lefts[column + 1], tops[row], width)
    if style == "all":
        for column in range(len(lefts)):
            for row in range(len(grid)):
                if 0 < column < len(lefts) - 1 and grid[row][column] in ("<lcel>", "<xcel>"):
                    continue
                sheet.rule(lefts[column], tops[row], lefts[column], tops[row + 1], width)
