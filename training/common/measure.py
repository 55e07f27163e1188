"""How well texts were read: one minus edit distance over the truth's length."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def edit_distance(first: str, second: str) -> int:
    """Insertions, deletions and replacements that make one text of the other (Levenshtein)."""
    if len(first) < len(second):
        first, second = second, first
    other = np.frombuffer(second.encode("utf-32-le"), np.uint32)
    places = np.arange(len(second) + 1)
    row = places.copy()
    for count, character in enumerate(first, start=1):
        best = np.minimum(row[1:] + 1, row[:-1] + (other != ord(character)))
        row = np.concatenate(([count], best))
        # What remains is to insert from the left: a running minimum, the insertions taken off and put on again.
        row = np.minimum.accumulate(row - places) + places
    return int(row[-1])


def character_score(read: Sequence[str], truths: Sequence[str]) -> float:
    """1 - edit distance / length, not under 0 for any text, over all characters of the truths."""
    right = sum(max(0, len(truth) - edit_distance(text, truth)) for text, truth in zip(read, truths, strict=True))
    return right / max(1, sum(len(truth) for truth in truths))
