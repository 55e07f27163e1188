"""Requests that an engine has taken, and how they are ended early: by a token, or by the caller going away."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import OrderedDict
from typing import Final

from ocrvl.errors import Cancelled
from ocrvl.metrics.definitions import CancelReason

_REMEMBER_SECONDS: Final = 600.0
_REMEMBER_MOST: Final = 10_000
_WORDS: Final = {
    CancelReason.TOKEN: "cancelled by its token",
    CancelReason.CALLER: "its caller went away",
    CancelReason.TIMEOUT: "timeout_ms has passed",
}


class Work:
    """One request from when it is taken to its answer; any thread may end it. `keys` are the tokens that do."""

    def __init__(self, *keys: str) -> None:
        self.keys = keys
        self._lock = threading.Lock()
        self._reason: CancelReason | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def reason(self) -> CancelReason | None:
        """Why it was ended; None while it was not."""
        return self._reason

    def attach(self, task: asyncio.Task[None]) -> None:
        """From now on, ending the work cancels this task."""
        with self._lock:
            self._task = task
            if self._reason is not None:
                task.cancel()

    def end(self, reason: CancelReason) -> bool:
        """End it; whether it had not been ended before."""
        with self._lock:
            if self._reason is not None:
                return False
            self._reason = reason
            if self._task is not None:
                self._task.get_loop().call_soon_threadsafe(self._task.cancel)
            return True

    def error(self) -> Cancelled:
        """What its caller is told."""
        return Cancelled(_WORDS[self._reason] if self._reason else "the server is stopping")

    def check(self) -> None:
        """Raise `Cancelled` if it was ended."""
        if self._reason is not None:
            raise self.error()


class WorkRegistry:
    """All the work of an engine. A token that ends work is remembered for requests that are still on their way."""

    def __init__(self, remember_seconds: float = _REMEMBER_SECONDS, remember_most: int = _REMEMBER_MOST) -> None:
        self._remember_seconds = remember_seconds
        self._remember_most = remember_most
        self._lock = threading.Lock()
        self._work: dict[str, set[Work]] = {}
        self._ended: OrderedDict[str, float] = OrderedDict()

    def add(self, work: Work) -> None:
        """Take in work. It is ended at once if its token already was."""
        with self._lock:
            self._forget()
            for key in work.keys:
                self._work.setdefault(key, set()).add(work)
                if key in self._ended:
                    work.end(CancelReason.TOKEN)

    def remove(self, work: Work) -> None:
        """Forget work that has its answer."""
        with self._lock:
            for key in work.keys:
                if works := self._work.get(key):
                    works.discard(work)
                    if not works:
                        del self._work[key]

    def cancel(self, key: str) -> int:
        """End all work of a token, and what comes with it in the next minutes; how much work was ended now."""
        with self._lock:
            self._ended[key] = time.monotonic()
            self._ended.move_to_end(key)
            self._forget()
            return sum(work.end(CancelReason.TOKEN) for work in self._work.get(key, ()))

    def _forget(self) -> None:
        oldest_kept = time.monotonic() - self._remember_seconds
        while self._ended and (
            len(self._ended) > self._remember_most or next(iter(self._ended.values())) < oldest_kept
        ):
            self._ended.popitem(last=False)
