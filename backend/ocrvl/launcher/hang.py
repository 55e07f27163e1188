"""A liveness check that repeats: a server that hangs has no dead process that one could find."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

Check = Callable[[], str | None]

_CHECKS: Final = 4
"""Checks within the timeout: one that finds the server alive is enough."""


def in_thread(check: Callable[[], None]) -> None:
    """Run a check beside everything else."""
    threading.Thread(target=check, name="liveness", daemon=True).start()


class HangWatch:
    """Runs a liveness check again and again, and reports one that has failed for `timeout` seconds without a break.

    `check` returns why it failed, None where it did not; it may take its time, since `run` does it elsewhere. A server
    that it has never found alive is left alone: then something else stands between the two.
    """

    def __init__(
        self,
        check: Check,
        timeout: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        run: Callable[[Callable[[], None]], None] = in_thread,
    ) -> None:
        self._check = check
        self._timeout = timeout
        self._clock = clock
        self._run = run
        self._next = clock()
        self._is_checking = False
        self._was_alive = False
        self._failing_since: float | None = None
        self._failure: str | None = None

    def find_failure(self) -> str | None:
        """Why the check has failed for longer than the timeout, None otherwise. Returns at once."""
        if not self._is_checking and self._clock() >= self._next:
            self._is_checking = True
            self._run(self._run_check)
        return self._failure

    def _run_check(self) -> None:
        try:
            reason = self._check()
        except Exception as error:
            # else there would never be another check
            reason = f"the check failed: {error!r}"
        now = self._clock()
        if reason is None:
            self._was_alive, self._failing_since = True, None
        elif self._was_alive:
            since = self._failing_since = now if self._failing_since is None else self._failing_since
            if now - since >= self._timeout:
                self._failure = f"it has not worked for {now - since:.0f} s: {reason}"
        self._next = now + self._timeout / _CHECKS
        self._is_checking = False
