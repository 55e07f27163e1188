"""Many images, a few in flight at a time: whose outcome may be handed out, and when the next may be started."""

from __future__ import annotations

from ocrvl_client._messages import Outcome

_AHEAD = 4
"""Times `concurrency`: so many may be done and wait for one before them; beyond that none is started."""


class Turns:
    """Keeps `concurrency` images in flight and hands outcomes out in their order, or as they come.

    >>> turns = Turns(concurrency=1, ordered=True)
    >>> turns.may_start(), turns.start(), turns.may_start()
    (True, 0, False)
    >>> [outcome.index for outcome in turns.finish(Outcome(0, "a.png"))]
    [0]
    """

    def __init__(self, concurrency: int, *, ordered: bool) -> None:
        self._concurrency = concurrency
        self._ordered = ordered
        self._started = 0
        self._finished = 0
        self._next = 0
        self._waiting: dict[int, Outcome] = {}

    @property
    def in_flight(self) -> int:
        """Images that were started and have not finished."""
        return self._started - self._finished

    def may_start(self) -> bool:
        """Whether there is room for one more in flight, and for its outcome to wait."""
        return self.in_flight < self._concurrency and len(self._waiting) < _AHEAD * self._concurrency

    def start(self) -> int:
        """The number of the image that is started now."""
        self._started += 1
        return self._started - 1

    def finish(self, outcome: Outcome) -> list[Outcome]:
        """The outcomes that can be handed out now that this one has come."""
        self._finished += 1
        if not self._ordered:
            return [outcome]
        self._waiting[outcome.index] = outcome
        ready = []
        while self._next in self._waiting:
            ready.append(self._waiting.pop(self._next))
            self._next += 1
        return ready
