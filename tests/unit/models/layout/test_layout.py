"""`ocrvl.models.layout`: reading order, options, and the embedded detector on pages whose blocks are known."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from ocrvl.errors import InvalidArgument
from ocrvl.models.layout.detectors import _CDLA_LABELS, EmbeddedDetector, Pixels
from ocrvl.models.layout.model import detect_each
from ocrvl.models.layout.order import Box, order_regions, reading_order
from ocrvl.models.layout_options import LayoutOptions
from ocrvl.models.regions import LABELS, Region, decode_regions, encode_regions
from ocrvl.options import parse_object
from ocrvl.wire import Tensor
from perf.harness.documents import DrawnPage, draw_document

PAGES = draw_document(6)


@pytest.fixture(scope="module")
def detector() -> EmbeddedDetector:
    return EmbeddedDetector(threads=2)


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


@pytest.mark.parametrize("page", PAGES, ids=range(len(PAGES)))
def test_the_embedded_detector_finds_the_blocks_of_drawn_pages_in_order(
    detector: EmbeddedDetector, page: DrawnPage
) -> None:
    (found,) = detector.detect([np.array(page.image)], [LayoutOptions()])
    wanted = [block for block in page.blocks if block.label in ("text", "image", "table", "figure_title")]
    positions = []
    for block in wanted:
        alike = [number for number, region in enumerate(found) if _overlap(region.box, block.box) > 0.4]
        assert [found[number].label for number in alike] == [block.label]
        positions += alike
    assert positions == sorted(positions)


def test_its_boxes_hold_what_is_written(detector: EmbeddedDetector) -> None:
    page = np.array(PAGES[1].image)
    (found,) = detector.detect([page], [LayoutOptions()])
    paragraphs = [region for region in found if region.label == "text"]
    assert paragraphs
    for region in paragraphs:
        left, top, right, bottom = map(int, region.box)
        # nothing black on the edge itself
        assert min(page[top, left:right].min(), page[bottom, left:right].min()) > 128


def test_its_labels_are_paddleocrs() -> None:
    assert set(_CDLA_LABELS.values()) <= set(LABELS)


def test_options_are_the_detectors(detector: EmbeddedDetector) -> None:
    page = np.array(PAGES[1].image)

    def found(**options: Any) -> list[Region]:
        return detector.detect([page], [LayoutOptions(**options)])[0]

    assert len(found(layout_threshold=0.97)) < len(found()) <= len(found(layout_threshold=0.2))
    assert {region.label for region in found(layout_threshold={LABELS.index("image"): 1.0})} == {
        region.label for region in found()
    } - {"image"}
    wide = [region for region in found(layout_unclip_ratio=1.2) if region.label == "image"]
    assert wide[0].box[0] < min(region.box[0] for region in found() if region.label == "image") - 20


def test_a_white_page_has_no_blocks(detector: EmbeddedDetector) -> None:
    assert detector.detect([np.full((400, 300, 3), 255, np.uint8)], [LayoutOptions()]) == [[]]


def test_regions_travel_as_they_are() -> None:
    regions = [
        Region("text", 0.5, (1.0, 2.0, 30.0, 40.0)),
        Region("seal", 0.25, (0.0, 0.0, 9.0, 9.0), ((0.0, 0.0), (9.0, 0.0), (4.0, 9.0))),
    ]
    for sent in (regions, []):
        tensors = encode_regions(sent)
        assert decode_regions(lambda name: tensors[name]) == sent  # noqa: B023 - called in this very round


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"layout_treshold": 1}, "unknown key 'layout_treshold'"),
        ({"layout_threshold": 1.5}, "layout_threshold"),
        ({"layout_threshold": {"25": 0.5}}, "layout_threshold"),
        ({"layout_merge_bboxes_mode": "biggest"}, "layout_merge_bboxes_mode"),
        ({"layout_unclip_ratio": [1.0]}, "layout_unclip_ratio"),
    ],
)
def test_options_that_can_not_be_are_refused_by_name(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(InvalidArgument, match=reason):
        parse_object(LayoutOptions, json.dumps(options).encode())


def test_options_are_read_from_json() -> None:
    raw = {
        "layout_threshold": {"0": 0.5},
        "layout_unclip_ratio": [1.0, 1.1],
        "layout_merge_bboxes_mode": {"3": "large"},
    }
    options = parse_object(LayoutOptions, json.dumps(raw).encode())
    assert (options.layout_threshold, options.layout_unclip_ratio) == ({0: 0.5}, (1.0, 1.1))


def _overlap(one: Box, other: Box) -> float:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    area = (one[2] - one[0]) * (one[3] - one[1]) + (other[2] - other[0]) * (other[3] - other[1])
    shared = max(0.0, width) * max(0.0, height)
    return shared / (area - shared)


def test_a_page_that_the_detector_can_not_look_at_fails_alone() -> None:
    class Picky:
        def detect(self, pages: Sequence[Pixels], options: Sequence[LayoutOptions]) -> list[list[Region]]:
            if any(page.shape[0] == 1 for page in pages):
                raise ValueError("too flat")
            return [[Region("text", 1.0, (0, 0, 1, 1))] for _ in pages]

    pages = [np.zeros((height, 9, 3), np.uint8) for height in (9, 1, 5)]
    first, second, third = detect_each(Picky(), pages, [LayoutOptions()] * 3)
    assert isinstance(second, ValueError)
    assert [answer[Tensor.LABEL].tolist() for answer in (first, third) if isinstance(answer, dict)] == [[[b"text"]]] * 2
