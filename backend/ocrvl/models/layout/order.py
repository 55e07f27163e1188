"""The reading order of blocks, where the layout model gives none.

A recursive XY-cut (Nagy and Seth, 1984), columns first: a page is cut between its columns where a gap runs through it
from top to bottom. Where none does, it is cut into strips, and strips that have such a gap in common stay together, so
that columns whose paragraphs happen to begin side by side are not read across.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ocrvl.models.regions import Region

Box = tuple[float, float, float, float]

_LEFT, _TOP, _RIGHT, _BOTTOM = range(4)
_TOUCH: Final = 0.1
"""Blocks may overlap by this share of the smaller one's side and still lie side by side: boxes of detectors do."""


_FIRST: Final = frozenset({"header", "header_image"})
_LAST: Final = frozenset({"footer", "footer_image", "footnote", "number"})
"""What stands beside the text of a page: a page's number between two columns belongs to neither."""


def order_regions(regions: Sequence[Region]) -> list[Region]:
    """The regions of a page in reading order: headers, what is between, footers."""
    parts: tuple[list[Region], list[Region], list[Region]] = ([], [], [])
    for region in regions:
        parts[0 if region.label in _FIRST else 2 if region.label in _LAST else 1].append(region)
    return [part[index] for part in parts for index in reading_order([region.box for region in part])]


def reading_order(boxes: Sequence[Box]) -> list[int]:
    """The indices of boxes (left, top, right, bottom) in the order in which they are read.

    >>> reading_order([(60, 10, 100, 90), (0, 0, 100, 5), (0, 50, 40, 90), (0, 10, 40, 40)])
    [1, 3, 2, 0]
    """
    return _order(list(range(len(boxes))), boxes)


def _order(indices: list[int], boxes: Sequence[Box]) -> list[int]:
    if len(indices) < 2:
        return indices
    columns = _cut(indices, boxes, _LEFT, _RIGHT)
    if len(columns) > 1:
        return [index for column in columns for index in _order(column, boxes)]
    strips = _join(_cut(indices, boxes, _TOP, _BOTTOM), boxes)
    if len(strips) > 1:
        return [index for strip in strips for index in _order(strip, boxes)]
    # they lie across each other: by where they begin
    return sorted(indices, key=lambda index: (boxes[index][_TOP], boxes[index][_LEFT]))


def _cut(indices: list[int], boxes: Sequence[Box], start: int, end: int) -> list[list[int]]:
    """Groups between which a gap runs through all of it."""
    ordered = sorted(indices, key=lambda index: boxes[index][start])
    groups = [[ordered[0]]]
    reach = boxes[ordered[0]][end]
    shortest = boxes[ordered[0]][end] - boxes[ordered[0]][start]
    for index in ordered[1:]:
        side = boxes[index][end] - boxes[index][start]
        if boxes[index][start] >= reach - _TOUCH * min(shortest, side):
            groups.append([index])
            shortest = side
        else:
            groups[-1].append(index)
            shortest = min(shortest, side)
        reach = max(reach, boxes[index][end])
    return groups


def _join(strips: list[list[int]], boxes: Sequence[Box]) -> list[list[int]]:
    """Neighbouring strips that can be cut into columns together are one."""
    joined: list[list[int]] = []
    for strip in strips:
        if joined and len(_cut(joined[-1] + strip, boxes, _LEFT, _RIGHT)) > 1:
            joined[-1] = joined[-1] + strip
        else:
            joined.append(strip)
    return joined
