"""How a request is ended before its answer: by its token, by its caller going away, or by its deadline."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import OrderedDict
from typing import Any, Final

from ocrvl.errors import Cancelled
from ocrvl.metrics.definitions import CancelReason

_REMEMBER_SECONDS: Final = 600.0
_REMEMBER_MOST: Final = 10_000
_MESSAGES: Final = {
    CancelReason.TOKEN: "cancelled by its token",
    CancelReason.CALLER: "its caller went away",
    CancelReason.TIMEOUT: "timeout_ms has passed",
}


class CancelScope:
    """Ends one request, once; any thread may. `tokens` are those of a registry that do."""

    def __init__(self, *tokens: str) -> None:
        self.tokens = tokens
        self._lock = threading.Lock()
        self._reason: CancelReason | None = None
        self._task: asyncio.Task[Any] | None = None

    @property
    def reason(self) -> CancelReason | None:
        """Why the request was ended; None while it was not."""
        return self._reason

    def attach(self, task: asyncio.Task[Any]) -> None:
        """From now on, ending the request cancels this task. Call it on the task's event loop."""
        with self._lock:
            self._task = task
            if self._reason is not None:
                task.cancel()

    def detach(self) -> None:
        """From now on, nothing is cancelled any more. Call it on the task's event loop."""
        with self._lock:
            self._task = None

    def end(self, reason: CancelReason) -> bool:
        """End it; whether it had not been ended before."""
        with self._lock:
            if self._reason is not None:
                return False
            self._reason = reason
            if self._task is not None:
                self._task.get_loop().call_soon_threadsafe(self._cancel_task)
            return True

    def error(self) -> Cancelled:
        """What its caller is told."""
        return Cancelled(_MESSAGES[self._reason] if self._reason else "the server is stopping")

    def check(self) -> None:
        """Raise `Cancelled` if it was ended."""
        if self._reason is not None:
            raise self.error()

    def _cancel_task(self) -> None:
        # it may have been detached since
        if self._task is not None:
            self._task.cancel()


class CancelRegistry:
    """The cancel scopes of a model's requests by their tokens.

    A token that was used is remembered for requests that have not arrived yet.
    """

    def __init__(self, remember_seconds: float = _REMEMBER_SECONDS, remember_most: int = _REMEMBER_MOST) -> None:
        self._remember_seconds = remember_seconds
        self._remember_most = remember_most
        self._lock = threading.Lock()
        self._scopes: dict[str, set[CancelScope]] = {}
        self._used: OrderedDict[str, float] = OrderedDict()

    def add(self, scope: CancelScope) -> None:
        """Add the scope of a request, which is ended at once if its token was used before."""
        with self._lock:
            self._forget()
            for token in scope.tokens:
                self._scopes.setdefault(token, set()).add(scope)
                if token in self._used:
                    scope.end(CancelReason.TOKEN)

    def remove(self, scope: CancelScope) -> None:
        """Forget the scope of a request that has its answer."""
        with self._lock:
            for token in scope.tokens:
                if scopes := self._scopes.get(token):
                    scopes.discard(scope)
                    if not scopes:
                        del self._scopes[token]

    def cancel(self, token: str) -> int:
        """End all requests of a token, and those that come with it in the next minutes; how many were ended now."""
        with self._lock:
            self._used[token] = time.monotonic()
            self._used.move_to_end(token)
            self._forget()
            return sum(scope.end(CancelReason.TOKEN) for scope in self._scopes.get(token, ()))

    def _forget(self) -> None:
        oldest_kept = time.monotonic() - self._remember_seconds
        while self._used and (len(self._used) > self._remember_most or next(iter(self._used.values())) < oldest_kept):
            self._used.popitem(last=False)
