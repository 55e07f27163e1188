"""`ocrvl.models.layout.order`: blocks in the order in which a page is read."""

from __future__ import annotations

import pytest

from ocrvl.models.layout.order import Box, order_regions, reading_order
from ocrvl.models.regions import Region


@pytest.mark.parametrize(
    ("boxes", "order"),
    [
        ([], []),
        ([(0, 0, 9, 9)], [0]),
        # two columns whose paragraphs begin side by side, under a title
        ([(0, 20, 45, 40), (55, 20, 100, 40), (0, 50, 45, 90), (55, 50, 100, 90), (0, 0, 100, 10)], [4, 0, 2, 1, 3]),
        # a figure across both columns between them
        (
            [(0, 0, 45, 20), (55, 0, 100, 20), (0, 30, 100, 60), (0, 70, 45, 90), (55, 70, 100, 90)],
            [0, 1, 2, 3, 4],
        ),
        # three columns
        ([(70, 0, 100, 90), (0, 0, 30, 90), (35, 0, 65, 90)], [1, 2, 0]),
        # boxes that touch a little, as those of detectors do
        ([(0, 0, 52, 50), (50, 0, 100, 50), (0, 48, 52, 90)], [0, 2, 1]),
        # one inside another
        ([(10, 10, 20, 20), (0, 0, 100, 100)], [1, 0]),
        # no size
        ([(5, 5, 5, 5), (5, 5, 5, 5)], [0, 1]),
    ],
)
def test_blocks_are_read_column_by_column(boxes: list[Box], order: list[int]) -> None:
    assert reading_order(boxes) == order


def test_a_page_s_number_between_its_columns_is_read_last() -> None:
    regions = [
        Region("number", 1, (46, 95, 54, 99)),
        Region("text", 1, (55, 10, 100, 90)),
        Region("text", 1, (0, 10, 45, 90)),
        Region("header", 1, (40, 0, 60, 5)),
    ]
    assert [region.box[0] for region in order_regions(regions)] == [40, 0, 55, 46]
