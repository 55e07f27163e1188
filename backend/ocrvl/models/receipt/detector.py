"""Where lines of text are on an image: PaddleOCR's own detector, as the `rapidocr` wheel carries it."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np

from ocrvl.models.receipt.lines import Pixels, Quad, order_lines

_EMBEDDED: Final = "models/PP-OCRv6_det_small.onnx"

_PROBABILITY: Final = 0.3
_BOX_SCORE: Final = 0.5
_WIDENED: Final = 1.6
_MAX_LINES: Final = 1000
"""The detector's own settings (`rapidocr`, `config.yaml`): a pixel's and a box's least score, how much is added around
a box, and how many there are at most."""

_LONG: Final = 2.0
"""Times its width, or the reverse, from which on an image may keep a longer side: the lines of a long receipt would be
too small to be found."""

_MOST: Final = 8.0
"""How many times longer a side may be kept."""


class TextDetector(Protocol):
    """Finds lines of text. Any number of threads may use it."""

    def find(self, pixels: Pixels) -> list[Quad]:
        """The corners of each line of an image, in reading order."""


class EmbeddedDetector:
    """A network of PaddleOCR's for text detection (DB) by ONNX Runtime on the CPU, each image on one core.

    `side` is what an image's longer side is reduced to. `file` is another network than the embedded one. Raises
    `ValueError` where either cannot be had.
    """

    def __init__(self, side: int, file: Path | None = None) -> None:
        import onnxruntime
        from rapidocr.ch_ppocr_det.utils import DBPostProcess, DetPreProcess

        self._side = side
        self._prepare = DetPreProcess
        self._postprocess: Any = DBPostProcess(
            thresh=_PROBABILITY,
            box_thresh=_BOX_SCORE,
            max_candidates=_MAX_LINES,
            unclip_ratio=_WIDENED,
            use_dilation=True,
        )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        # what one image of an odd size took is given back
        options.enable_cpu_mem_arena = False
        network = file or _embedded_file()
        try:
            self._session: Any = onnxruntime.InferenceSession(str(network), options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise ValueError(f"detector_file: {network} cannot be loaded ({error})") from error
        self._input = self._session.get_inputs()[0].name

    def find(self, pixels: Pixels) -> list[Quad]:
        """See `TextDetector`."""
        height, width, _ = pixels.shape
        # OpenCV's order of channels
        prepared = self._prepare(self._limit(width, height), "max")(pixels[..., ::-1])
        if prepared is None:
            # under 16 pixels in one direction: half of what the network steps by
            return []
        (scores,) = self._session.run(None, {self._input: prepared})
        quads, _ = self._postprocess(scores, (height, width))
        return order_lines([np.asarray(quad, np.float32) for quad in quads])

    def _limit(self, width: int, height: int) -> int:
        """What the longer side is reduced to."""
        ratio = max(width, height) / max(1, min(width, height))
        return round(self._side * min(max(1.0, ratio / _LONG), _MOST))


def _embedded_file() -> Path:
    spec = find_spec("rapidocr")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / _EMBEDDED
