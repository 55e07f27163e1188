"""Whether tables that go on across pages can be joined: PaddleX does that, and knows no bounds."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

_MAX_MERGED_CELLS: Final = 300_000
"""Cells that PaddleX parses, all in all, to join the tables of a document: 40 us each. It parses what it has joined
again for every page that comes before."""

_ANY_CELL: Final = re.compile("<t[dh]", re.IGNORECASE)
_CELL: Final = re.compile('<t[dh](?: rowspan="([0-9]{1,5})")?(?: colspan="([0-9]{1,5})")?>')
"""A cell as PaddleX writes it."""

_MAY_FOLLOW: Final = {"footer", "footer_image", "footnote", "vision_footnote", "number", "seal"}
"""Labels of blocks that may stand below a table that goes on (PaddleX, `can_merge_tables`)."""


def can_merge_tables(pages: Sequence[Any]) -> bool:
    """Whether PaddleX can join the tables of these pages in a few seconds.

    False as well for tables that it has not written itself: it counts every place that a cell of a million columns
    covers. What is joined is guessed from labels and widths, as PaddleX does before it looks into the tables.
    """
    total, joined, below = 0, 0, None
    for page in reversed(pages):
        blocks = page["parsing_res_list"]
        tables = [block for block in blocks if block.label == "table"]
        sizes = [_cells(table.content) for table in tables]
        if None in sizes:
            return False
        if not tables:
            below = None
            continue
        first, last = sizes[0] or 0, sizes[-1] or 0
        is_joined = below is not None and _goes_on(blocks, tables[-1], below)
        if is_joined:
            total += joined + last
        if total > _MAX_MERGED_CELLS:
            return False
        joined = first + (joined if is_joined and len(tables) == 1 else 0)
        below = tables[0]
    return True


def _goes_on(blocks: Sequence[Any], table: Any, below: Any) -> bool:
    """Whether the last table of a page may go on in the first of the next page."""
    width, next_width = (block.bbox[2] - block.bbox[0] for block in (table, below))
    follow = blocks[[block is table for block in blocks].index(True) + 1 :]
    is_as_wide = abs(width - next_width) < 0.1 * min(width, next_width)
    return is_as_wide and all(block.label in _MAY_FOLLOW for block in follow)


def _cells(html: str) -> int | None:
    """The places that the cells of a table cover; None where PaddleX has not written it."""
    found = _CELL.findall(html)
    if len(found) != len(_ANY_CELL.findall(html)):
        return None
    return sum(int(rows or 1) * int(columns or 1) for rows, columns in found)
