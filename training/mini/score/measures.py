"""Answers compared with the truth, by task; each 0 to 1 over a set of images."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ocrvl.postprocess import load_paddle_functions
from ocrvl.wire import Task
from training.common.measure import character_score, edit_distance
from training.mini.score.teds import teds

_SIDE = 1000
_MATCH = 0.5

Spot = tuple[str, tuple[float, float, float, float]]


def measure(task: Task, read: Sequence[str], truths: Sequence[str]) -> float:
    """TEDS of tables, exact formulas, F1 of spotting; else characters that are right."""
    match task:
        case Task.TABLE:
            return table_score(read, truths)
        case Task.FORMULA:
            return sum(map(_same_formula, read, truths)) / max(1, len(truths))
        case Task.SPOTTING:
            return spotting_score(read, truths)
        case _:
            return character_score(read, truths)


def table_score(read: Sequence[str], truths: Sequence[str]) -> float:
    """Mean TEDS of tables in OTSL, as PaddleX makes HTML of them."""
    to_html = load_paddle_functions().convert_otsl_to_html
    scores = [teds(to_html(text), to_html(truth)) for text, truth in zip(read, truths, strict=True)]
    return sum(scores) / max(1, len(scores))


def _same_formula(read: str, truth: str) -> bool:
    return re.sub(r"\s", "", read) == re.sub(r"\s", "", truth)


def spotting_score(read: Sequence[str], truths: Sequence[str]) -> float:
    """F1 over all lines: a line is found where the boxes' intersection is half their union, and the text the same.

    Texts may differ in one character of ten.
    """
    found = told = real = 0
    for text, truth in zip(read, truths, strict=True):
        told_here, real_here = spots_of(text), spots_of(truth)
        told, real = told + len(told_here), real + len(real_here)
        for spot in told_here:
            match = next((other for other in real_here if _is_match(spot, other)), None)
            if match is not None:
                real_here.remove(match)
                found += 1
    return 2 * found / max(1, told + real)


def spots_of(answer: str) -> list[Spot]:
    """Texts and boxes (left, top, right, bottom in thousandths) of an answer, by PaddleX."""
    _, spotted = load_paddle_functions().post_process_for_spotting(answer, _SIDE, _SIDE)
    spots = []
    for text, corners in zip(spotted["rec_texts"], spotted["rec_polys"], strict=True):
        across, down = [x for x, _ in corners], [y for _, y in corners]
        spots.append((text, (min(across), min(down), max(across), max(down))))
    return spots


def _is_match(spot: Spot, other: Spot) -> bool:
    longest = max(len(spot[0]), len(other[0]), 1)
    return overlap(spot[1], other[1]) >= _MATCH and edit_distance(spot[0], other[0]) <= 0.1 * longest


def overlap(first: tuple[float, float, float, float], second: tuple[float, float, float, float]) -> float:
    """Intersection over union of two boxes."""
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    shared = max(0.0, width) * max(0.0, height)
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (first, second))
    return shared / (areas - shared) if areas > shared else 0.0
