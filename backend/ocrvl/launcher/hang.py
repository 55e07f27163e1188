"""Whether a running server still works, as somebody who asks it finds: what hangs is no dead process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

Check = Callable[[], str | None]

_CHECKS: Final = 4
"""How often a server is asked within the patience: one answer that says it works is enough."""


def in_thread(job: Callable[[], None]) -> None:
    """Do a job beside everything else."""
    threading.Thread(target=job, name="probe", daemon=True).start()


class HangWatch:
    """Asks again and again whether a server works, and tells when it has not for `patience` seconds without a break.

    `check` returns what is wrong, None where nothing is; it may take its time, since `run` does it elsewhere. A server
    of which it has never found nothing wrong is left alone: something else stands between them then.
    """

    def __init__(
        self,
        check: Check,
        patience: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        run: Callable[[Callable[[], None]], None] = in_thread,
    ) -> None:
        self._check = check
        self._patience = patience
        self._clock = clock
        self._run = run
        self._next = clock()
        self._is_checking = False
        self._has_worked = False
        self._wrong_since: float | None = None
        self._trouble: str | None = None

    def find_trouble(self) -> str | None:
        """What has been wrong for longer than the patience, None otherwise. Returns at once."""
        if not self._is_checking and self._clock() >= self._next:
            self._is_checking = True
            self._run(self._look)
        return self._trouble

    def _look(self) -> None:
        try:
            wrong = self._check()
        except Exception as error:
            # else nobody would ever ask again
            wrong = f"it could not be asked: {error!r}"
        now = self._clock()
        if wrong is None:
            self._has_worked, self._wrong_since = True, None
        elif self._has_worked:
            since = self._wrong_since = now if self._wrong_since is None else self._wrong_since
            if now - since >= self._patience:
                self._trouble = f"it has not worked for {now - since:.0f} s: {wrong}"
        self._next = now + self._patience / _CHECKS
        self._is_checking = False
