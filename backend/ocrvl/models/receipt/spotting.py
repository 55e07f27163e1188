"""Lines that the engine has found itself, by the task `spotting`."""

from __future__ import annotations

import json

import numpy as np

from ocrvl.errors import InvalidArgument
from ocrvl.models.receipt.lines import Line, Quad, bounding_box, order_lines
from ocrvl.wire import FinishReason


def parse_spots(text: str, size: tuple[int, int], finish_reason: FinishReason) -> list[Line]:
    """The lines in what `ocr` makes of spotting, in reading order: texts and corners that PaddleX has parsed.

    `size` is the image's width and height in pixels. Raises `InvalidArgument` where the model has written no places.
    """
    try:
        found = json.loads(text)
        texts = [str(one).strip() for one in found["rec_texts"]]
        quads: list[Quad] = [np.array(corners, np.float32).reshape(4, 2) for corners in found["rec_polys"]]
        pairs = list(zip(texts, quads, strict=True))
    except (ValueError, LookupError, TypeError):
        raise InvalidArgument(
            "the model has written no places of lines: the setting detector of the model receipt is spotting, which "
            "PaddleOCR-VL-1.5 and later have learnt"
        ) from None
    places = {id(quad): one for one, quad in pairs}
    return [Line(places[id(quad)], bounding_box(quad, size), finish_reason) for quad in order_lines(quads)]
