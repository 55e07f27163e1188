"""What a layout model says of a page."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from ocrvl.messages import Array, decode_texts, encode_texts
from ocrvl.wire import Tensor

LABELS: Final = (
    "abstract",
    "algorithm",
    "aside_text",
    "chart",
    "content",
    "display_formula",
    "doc_title",
    "figure_title",
    "footer",
    "footer_image",
    "footnote",
    "formula_number",
    "header",
    "header_image",
    "image",
    "inline_formula",
    "number",
    "paragraph_title",
    "reference",
    "reference_content",
    "seal",
    "table",
    "text",
    "vertical_text",
    "vision_footnote",
)
"""What a block can be: the 25 labels of PP-DocLayoutV3."""


@dataclass(frozen=True)
class Region:
    """A block of a page: `box` is left, top, right, bottom in pixels; `polygon` its corners, where they are known."""

    label: str
    score: float
    box: tuple[float, float, float, float]
    polygon: tuple[tuple[float, float], ...] | None = None

    def as_paddle(self) -> dict[str, Any]:
        """As PaddleX's detectors give it."""
        found: dict[str, Any] = {
            "cls_id": LABELS.index(self.label) if self.label in LABELS else -1,
            "label": self.label,
            "score": self.score,
            "coordinate": [round(side) for side in self.box],
        }
        if self.polygon is not None:
            found["polygon_points"] = [list(point) for point in self.polygon]
        return found

    @classmethod
    def of_paddle(cls, found: Mapping[str, Any]) -> Region:
        """From what PaddleX's detectors give."""
        left, top, right, bottom = (float(side) for side in found["coordinate"][:4])
        points = found.get("polygon_points")
        polygon = None if points is None else tuple((float(x), float(y)) for x, y in points)
        return cls(str(found["label"]), float(found["score"]), (left, top, right, bottom), polygon)


def encode_regions(regions: Sequence[Region]) -> dict[Tensor, Array]:
    """The output tensors of `layout` for one page, [1, N] each and [1, N, 4] boxes, in reading order."""
    return {
        Tensor.LABEL: encode_texts([region.label for region in regions])[None],
        Tensor.SCORE: np.array([[region.score for region in regions]], np.float32),
        Tensor.BOX: np.array([region.box for region in regions], np.float32).reshape(1, len(regions), 4),
        Tensor.POLYGON: encode_texts(["" if r.polygon is None else json.dumps(r.polygon) for r in regions])[None],
    }


def decode_regions(tensor: Callable[[Tensor], Array]) -> list[Region]:
    """The regions of a page from the tensors of `layout`."""
    labels = decode_texts(tensor(Tensor.LABEL)[0], Tensor.LABEL)
    polygons = decode_texts(tensor(Tensor.POLYGON)[0], Tensor.POLYGON)
    scores, boxes = tensor(Tensor.SCORE)[0].tolist(), tensor(Tensor.BOX)[0].tolist()
    return [
        Region(label, score, tuple(box), tuple(map(tuple, json.loads(polygon))) if polygon else None)
        for label, score, box, polygon in zip(labels, scores, boxes, polygons, strict=True)
    ]
