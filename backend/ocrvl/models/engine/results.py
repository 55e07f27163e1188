"""The readings of a request, brought to what the caller asked for and put in order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from ocrvl.errors import InternalError
from ocrvl.messages import PackedImages, Reading
from ocrvl.postprocess import PaddleFunctions, postprocess_text


def finish_reading(packed: PackedImages, reading: Reading, paddle: PaddleFunctions) -> Reading:
    """The reading with its image's warning, and its text post-processed by task, unless `raw` is asked."""
    warning = packed.warnings[reading.index]
    if reading.error or packed.options.raw:
        return replace(reading, warning=warning)
    width, height = packed.source_sizes[reading.index].tolist()
    text, more = postprocess_text(reading.text, packed.tasks[reading.index], (width, height), paddle)
    return replace(reading, text=text, warning="; ".join(filter(None, [warning, more])))


def order_readings(packed: PackedImages, readings: Iterable[Reading]) -> list[Reading]:
    """One reading an image, in the images' order. Raises `InternalError` where one is missing."""
    by_index = {reading.index: reading for reading in readings}
    if missing := [index for index in range(len(packed)) if index not in by_index]:
        raise InternalError(f"the engine gave no answer for images {missing}")
    return [by_index[index] for index in range(len(packed))]
