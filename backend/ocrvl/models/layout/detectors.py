"""Layout detectors behind one interface: the embedded one here, PaddleOCR's own in `paddle`.

What comes after the network (thresholds, overlaps, widening) is PaddleX's for all of them, so that its options mean
the same everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from ocrvl.models.layout.order import order_regions
from ocrvl.models.layout_options import LayoutOptions, MergeMode
from ocrvl.models.regions import LABELS, Region

Pixels = npt.NDArray[np.uint8]
"""A page in RGB: uint8 [height, width, 3]."""

EMBEDDED: Final = "embedded"

_CDLA_LABELS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "text": "text",
        "title": "paragraph_title",
        "figure": "image",
        "figure_caption": "figure_title",
        "table": "table",
        "table_caption": "figure_title",
        "header": "header",
        "footer": "footer",
        "reference": "reference_content",
        "equation": "display_formula",
    }
)
"""The embedded model's labels (CDLA) as PaddleOCR's."""

_EMBEDDED_THRESHOLD: Final = 0.4
"""Where PicoDet's layout models are cut in PP-Structure (PaddleOCR, `layout_score_threshold` 0.5), and a little under:
a block that is missed is lost, one too many is read twice."""

_MARGIN: Final = 0.005
"""Of the page's longer side: the network sees pages at 800 x 608 and its boxes cut into letters by as much."""

_LOWEST: Final = 0.1
"""Boxes under this score are not even looked at."""

_OUTERMOST: Final = ("chart", "display_formula", "doc_title", "inline_formula", "paragraph_title")
MERGE_MODES: Final[Mapping[int, MergeMode]] = {
    number: "large" if label in _OUTERMOST else "union" for number, label in enumerate(LABELS)
}
"""`layout_merge_bboxes_mode` of PaddleOCR-VL-1.6 (PaddleX, `PaddleOCR-VL-1.6.yaml`)."""


class Detector(Protocol):
    """A layout model."""

    def detect(self, pages: Sequence[Pixels], options: Sequence[LayoutOptions]) -> list[list[Region]]:
        """The regions of each page in reading order."""


class EmbeddedDetector:
    """The layout model that comes with `rapid-layout`: PicoDet trained on CDLA, ONNX Runtime, on the CPU.

    Boxes only. Its ten labels are mapped to PaddleOCR's; the order is an XY-cut.
    """

    def __init__(self, threads: int = 1) -> None:
        from paddlex.inference.models.layout_analysis.processors import LayoutAnalysisProcess
        from rapid_layout import RapidLayout

        self._model = RapidLayout(conf_thresh=_LOWEST, engine_cfg={"intra_op_num_threads": threads})
        self._process = LayoutAnalysisProcess(labels=list(LABELS), scale_size=[800, 608])

    def detect(self, pages: Sequence[Pixels], options: Sequence[LayoutOptions]) -> list[list[Region]]:
        """See `Detector`; one page after the other."""
        return [self._detect(page, one) for page, one in zip(pages, options, strict=True)]

    def _detect(self, page: Pixels, options: LayoutOptions) -> list[Region]:
        # OpenCV's order of channels
        found = self._model.model_handler(np.ascontiguousarray(page[..., ::-1]))
        names, scores, boxes = found.class_names or [], found.scores or [], found.boxes or []
        if not names:
            return []
        height, width, _ = page.shape
        margin = _MARGIN * max(height, width)
        rows = [
            [
                LABELS.index(_CDLA_LABELS[name]),
                score,
                box[0] - margin,
                box[1] - margin,
                box[2] + margin,
                box[3] + margin,
            ]
            for name, score, box in zip(names, scores, boxes, strict=True)
        ]
        kept = self._process.apply(
            np.array(rows, np.float64),
            (width, height),
            threshold_of(options, _EMBEDDED_THRESHOLD),
            True if options.layout_nms is None else options.layout_nms,
            options.layout_unclip_ratio,
            options.layout_merge_bboxes_mode or dict(MERGE_MODES),
            layout_shape_mode="rect",
        )
        return order_regions([Region.of_paddle(box) for box in kept])


def threshold_of(options: LayoutOptions, default: float) -> float | dict[int, float]:
    """As PaddleX takes it: a float, not an integer, or one by class."""
    threshold = options.layout_threshold
    if threshold is None:
        return default
    return threshold if isinstance(threshold, dict) else float(threshold)
