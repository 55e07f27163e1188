"""Whether somebody still waits for a request while it is worked on."""

from __future__ import annotations

import time
from typing import Any, Final

from ocrvl.metrics.definitions import CancelReason
from ocrvl.models.request import Request

_ABANDONED_SECONDS: Final = 0.25
"""How often the server is asked about a caller: most requests are done before."""


class Watch:
    """Checks a request as often as it likes, and asks the server about its caller once in `every` seconds."""

    def __init__(self, request: Request[Any], every: float = _ABANDONED_SECONDS) -> None:
        self._request = request
        self._every = every
        self._next = time.monotonic() + every

    def check(self) -> None:
        """Raise `Cancelled` where the request's deadline has passed or its caller has gone."""
        if time.monotonic() >= self._next:
            if self._request.call.is_abandoned():
                self._request.scope.end(CancelReason.CALLER)
            self._next = time.monotonic() + self._every
        self._request.check()
