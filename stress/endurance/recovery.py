"""Kills, what they cost, and how the load fares beside them. Times are of `time.monotonic`, in seconds."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

Window = tuple[float, float]


class Kind(StrEnum):
    """What was killed."""

    ENGINE = "engine"
    STUB = "stub"
    CLIENT = "client"


@dataclass(frozen=True)
class Kill:
    """One process that was killed by SIGKILL.

    `noticed` is when the probe first said that the server was not ready, `ready` when it said so again; for a client
    both are the moment of the kill, since no server has to recover from that.
    """

    kind: Kind
    what: str
    at: float
    noticed: float
    ready: float


@dataclass(frozen=True)
class Recovery:
    """A kill, and the first request that was answered once the server was ready again; None if there was none."""

    kill: Kill
    answered: float | None

    @property
    def seconds(self) -> float | None:
        """From the kill to that answer."""
        return None if self.answered is None else self.answered - self.kill.at


def find_recoveries(kills: Sequence[Kill], answers: Sequence[float]) -> list[Recovery]:
    """What followed each kill; `answers` are the moments of all right answers, in their order.

    A client killed while the server recovered from something else is left out: nobody can tell what it cost.
    """
    recoveries = []
    down = [(kill.at, kill.ready) for kill in kills if kill.kind is not Kind.CLIENT]
    for kill in kills:
        if kill.kind is Kind.CLIENT and any(start <= kill.at <= end for start, end in down):
            continue
        place = bisect_right(answers, kill.ready)
        recoveries.append(Recovery(kill, answers[place] if place < len(answers) else None))
    return recoveries


def rate_outside(answers: Sequence[float], span: Window, windows: Sequence[Window]) -> float:
    """Answers per second within the span, the windows left out of both; 0 where nothing is left.

    >>> rate_outside([1.0, 2.0, 3.0, 8.0], (0.0, 10.0), [(4.0, 6.0), (5.0, 7.0)])
    0.5714285714285714
    """
    count = seconds = 0.0
    for start, end in _gaps(span, windows):
        count += bisect_left(answers, end) - bisect_left(answers, start)
        seconds += end - start
    return count / seconds if seconds else 0.0


def seconds_outside(span: Window, windows: Sequence[Window]) -> float:
    """How much of the span no window covers."""
    return sum(end - start for start, end in _gaps(span, windows))


def _gaps(span: Window, windows: Sequence[Window]) -> list[Window]:
    gaps, begin = [], span[0]
    for start, end in sorted(windows):
        if start > begin:
            gaps.append((begin, min(start, span[1])))
        begin = max(begin, end)
    gaps.append((begin, span[1]))
    return [(start, end) for start, end in gaps if end > start]
