"""The readings of a request, put in order and brought to what the caller asked for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from ocrvl.errors import InternalError
from ocrvl.hop import PackedPictures, Reading
from ocrvl.postprocess import PaddleFunctions, postprocess_text


def collect_readings(packed: PackedPictures, readings: Iterable[Reading], paddle: PaddleFunctions) -> list[Reading]:
    """One reading a picture, in the pictures' order, post-processed by task unless `raw` is asked.

    Raises `InternalError` if the engine ended without a word about some picture.
    """
    collected: dict[int, Reading] = {}
    for reading in readings:
        if not reading.error and not packed.options.raw:
            width, height = packed.source_sizes[reading.index].tolist()
            task = packed.tasks[reading.index]
            reading = replace(reading, text=postprocess_text(reading.text, task, (width, height), paddle))
        collected[reading.index] = reading
    if missing := [index for index in range(len(packed)) if index not in collected]:
        raise InternalError(f"the engine gave no answer for pictures {missing}")
    return [collected[index] for index in range(len(packed))]
