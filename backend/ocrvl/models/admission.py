"""How many requests a model has at a time, and how the next one waits."""

from __future__ import annotations

import threading
from typing import Any, Final

from ocrvl.models.request import Request

_CHECK_SECONDS: Final = 0.05
"""How often it is checked whether a request that waits was ended."""


class Admission:
    """Admits at most `limit` at a time: images, streams or documents, of which a request says how many `units` it is.

    `enter` is called from the model's `execute`: while it blocks, Triton hands the instance nothing, and what waits is
    in Triton's queue under Triton's rules.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._changed = threading.Condition()
        self._admitted = 0

    @property
    def admitted(self) -> int:
        """Units that were admitted and have not left."""
        return self._admitted

    def enter(self, request: Request[Any]) -> None:
        """Wait until the request fits. Raises `Cancelled` where it is ended before."""
        with self._changed:
            while not self._can_admit(request):
                self._check_waiting(request)
                self._changed.wait(_CHECK_SECONDS)
            request.scope.check()
            self._admitted += request.units

    def leave(self, request: Request[Any]) -> None:
        """Make place for the next one."""
        with self._changed:
            self._admitted -= request.units
            self._changed.notify_all()

    def _can_admit(self, request: Request[Any]) -> bool:
        return self._admitted + request.units <= self.limit

    def _check_waiting(self, request: Request[Any]) -> None:
        """Raise what ends the waiting of a request."""
        request.check()
