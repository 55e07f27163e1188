"""Which offset of a partition may be committed: receipts finish in any order, a group remembers one number."""

from __future__ import annotations

from collections import deque


class OffsetTracker:
    """The offsets of one partition that were taken, in their order, and which of them are finished.

    >>> tracker = OffsetTracker()
    >>> for offset in (7, 8, 10):
    ...     tracker.take(offset)
    >>> tracker.finish(8)
    >>> tracker.next_offset, len(tracker)
    (None, 3)
    >>> tracker.finish(7)
    >>> tracker.next_offset, len(tracker)
    (9, 1)
    """

    def __init__(self) -> None:
        self._taken: deque[int] = deque()
        self._finished: set[int] = set()
        self.next_offset: int | None = None
        """The offset after all that are finished without a gap; None before the first."""

    def __len__(self) -> int:
        return len(self._taken)

    def take(self, offset: int) -> None:
        """A message of this offset is worked on from now on; offsets ascend, not always by one."""
        self._taken.append(offset)

    def finish(self, offset: int) -> None:
        """The message of this offset needs nothing more."""
        self._finished.add(offset)
        while self._taken and self._taken[0] in self._finished:
            done = self._taken.popleft()
            self._finished.remove(done)
            self.next_offset = done + 1
