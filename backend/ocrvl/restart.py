"""When what has failed is started again, and when no more: for engines within a server, and for the server itself."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

_LONGEST_PAUSE: Final = 30.0


@dataclass(frozen=True, kw_only=True)
class RestartPolicy:
    """More than `max_failures` within `failure_window_seconds` are too many; 0 failures are none at all."""

    max_failures: int = 5
    failure_window_seconds: float = 600.0

    def allows(self, failures: int) -> bool:
        """Whether there is another start after so many failures within the window."""
        return failures <= self.max_failures

    def pause(self, failures: int) -> float:
        """Seconds before the next start, after so many failures within the window.

        >>> [RestartPolicy().pause(failures) for failures in (1, 2, 3, 4, 9)]
        [0.0, 1.0, 2.0, 4.0, 30.0]
        """
        return min(_LONGEST_PAUSE, 2.0 ** (failures - 2)) if failures > 1 else 0.0


class FailureHistory:
    """The failures within a policy's window."""

    def __init__(self, policy: RestartPolicy, clock: Callable[[], float] = time.monotonic) -> None:
        self._window = policy.failure_window_seconds
        self._clock = clock
        self._times: deque[float] = deque()

    def __len__(self) -> int:
        """How many there were within the window at the last one."""
        return len(self._times)

    def add(self) -> int:
        """Count a failure now; how many there are within the window, this one included."""
        now = self._clock()
        self._times.append(now)
        while self._times[0] < now - self._window:
            self._times.popleft()
        return len(self)
