"""`ocrvl.models.layout.detectors`: the embedded detector on pages whose blocks are known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from ocrvl.models.layout.detectors import _CDLA_LABELS, EmbeddedDetector, Pixels
from ocrvl.models.layout.model import detect_each
from ocrvl.models.layout.order import Box
from ocrvl.models.layout_options import LayoutOptions
from ocrvl.models.regions import LABELS, Region
from ocrvl.wire import Tensor
from perf.harness.documents import DrawnPage, draw_document

PAGES = draw_document(6)


@pytest.fixture(scope="module")
def detector() -> EmbeddedDetector:
    return EmbeddedDetector(threads=2)


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


def _overlap(one: Box, other: Box) -> float:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    area = (one[2] - one[0]) * (one[3] - one[1]) + (other[2] - other[0]) * (other[3] - other[1])
    shared = max(0.0, width) * max(0.0, height)
    return shared / (area - shared)


def test_a_page_that_the_detector_cannot_look_at_fails_alone() -> None:
    class Picky:
        def detect(self, pages: Sequence[Pixels], options: Sequence[LayoutOptions]) -> list[list[Region]]:
            if any(page.shape[0] == 1 for page in pages):
                raise ValueError("too flat")
            return [[Region("text", 1.0, (0, 0, 1, 1))] for _ in pages]

    pages = [np.zeros((height, 9, 3), np.uint8) for height in (9, 1, 5)]
    first, second, third = detect_each(Picky(), pages, [LayoutOptions()] * 3)
    assert isinstance(second, ValueError)
    assert [answer[Tensor.LABEL].tolist() for answer in (first, third) if isinstance(answer, dict)] == [[[b"text"]]] * 2
