"""`ocrvl.models.receipt.spotting`: what `ocr` makes of the model's locations, as lines."""

from __future__ import annotations

import json

import pytest
from paddlex.inference.pipelines.paddleocr_vl import uilts

from ocrvl.errors import InvalidArgument
from ocrvl.models.receipt.spotting import parse_spots
from ocrvl.postprocess import postprocess_text
from ocrvl.wire import FinishReason, Task


def location(text: str, left: int, top: int, right: int, bottom: int) -> str:
    """A line as PaddleOCR-VL-1.5 writes it, in thousandths of the image."""
    corners = (left, top, right, top, right, bottom, left, bottom)
    return text + "".join(f"<|LOC_{number}|>" for number in corners)


def test_locations_of_the_model_become_lines_in_pixels_and_in_order() -> None:
    written = location("Total", 100, 500, 400, 550) + location("Corner Café", 200, 100, 700, 150)
    text, warning = postprocess_text(written, Task.SPOTTING, (500, 800), uilts)
    assert not warning
    first, second = parse_spots(text, (500, 800), FinishReason.LENGTH)
    assert (first.text, second.text) == ("Corner Café", "Total")
    assert second.box == pytest.approx((50, 400, 200, 440), abs=2)
    assert first.finish_reason is FinishReason.LENGTH


@pytest.mark.parametrize(
    "text", ["Total 12.40", "[]", "{}", json.dumps({"rec_texts": ["a"], "rec_polys": []}), '{"rec_texts": 1}']
)
def test_a_model_that_has_not_learnt_spotting_is_told_as_such(text: str) -> None:
    with pytest.raises(InvalidArgument, match=r"detector of the model receipt is spotting"):
        parse_spots(text, (100, 100), FinishReason.STOP)


def test_an_image_without_text_has_no_lines() -> None:
    assert parse_spots('{"rec_texts": [], "rec_polys": []}', (9, 9), FinishReason.STOP) == []
