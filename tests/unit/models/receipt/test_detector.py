"""`ocrvl.models.receipt.detector`: the embedded detector on receipts whose characters' places are known."""

from __future__ import annotations

from pathlib import Path
from random import Random

import numpy as np
import pytest
from PIL import Image

from ocrvl.models.receipt.detector import EmbeddedDetector
from training.nano.fonts import WORLD_FONTS
from training.nano.world import World, draw_rows


@pytest.fixture(scope="module")
def detector() -> EmbeddedDetector:
    return EmbeddedDetector(736)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_character_of_a_receipt_lies_in_a_line(detector: EmbeddedDetector, seed: int) -> None:
    drawing = World(Random(seed)).receipt(8)
    lines = detector.find(np.asarray(drawing.image))
    boxes = [(*line.min(axis=0), *line.max(axis=0)) for line in lines]
    for one in drawing.characters:
        if one.character != " ":
            assert any(left <= one.x <= right and top <= one.y <= bottom for left, top, right, bottom in boxes), one


def test_lines_of_a_long_receipt_are_found_as_well(detector: EmbeddedDetector) -> None:
    texts = [f"Item {number} {number}.50" for number in range(150)]
    drawing = draw_rows(texts, WORLD_FONTS[0], 16)
    lines = detector.find(np.asarray(drawing.image))
    tops = {round(float(line.min(axis=0)[1]) / 22.4) for line in lines}
    assert len(tops) > 140


@pytest.mark.parametrize("size", [(300, 400), (1, 1), (2, 900), (900, 2), (17, 17)])
def test_nothing_is_found_where_nothing_is(detector: EmbeddedDetector, size: tuple[int, int]) -> None:
    assert detector.find(np.asarray(Image.new("RGB", size, "white"))) == []


def test_a_file_that_is_no_network_is_named(tmp_path: Path) -> None:
    file = tmp_path / "detector.onnx"
    file.write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"detector_file: .*detector\.onnx cannot be loaded"):
        EmbeddedDetector(736, file)
