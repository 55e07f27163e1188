"""Admission to the engine, which may be down, and tells its availability."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from ocrvl.control_channel.messages import Availability
from ocrvl.errors import InvalidArgument, Unavailable
from ocrvl.models.admission import Admission
from ocrvl.models.request import Request


class EngineAdmission(Admission):
    """Admits at most `limit` images at a time, and none while the engine is down, as it is at first.

    A request that comes while it is down is held for `hold_seconds`, during which other instances take the others, and
    is then refused. `on_availability` is told every change, and that the engine is full for as long as one waits.
    """

    def __init__(self, limit: int, hold_seconds: float, on_availability: Callable[[Availability], None]) -> None:
        super().__init__(limit)
        self._hold_seconds = hold_seconds
        self._on_availability = on_availability
        self._is_up = False
        self._down_since = time.monotonic()

    def enter(self, request: Request[Any]) -> None:
        """Wait until the engine can take the request's images.

        Raises `InvalidArgument` for a request that never fits, `Unavailable` where the engine is down, `Cancelled` for
        one that is ended before.
        """
        if request.units > self.limit:
            raise InvalidArgument(f"{request.units} images in one request, the engine takes {self.limit} at a time")
        with self._changed:
            try:
                super().enter(request)
            finally:
                self._on_availability(Availability.READY if self._is_up else Availability.DOWN)

    def set_up(self, is_up: bool) -> None:
        """Whether the engine is running."""
        with self._changed:
            if self._is_up and not is_up:
                self._down_since = time.monotonic()
            self._is_up = is_up
            self._changed.notify_all()
            self._on_availability(Availability.READY if is_up else Availability.DOWN)

    def _can_admit(self, request: Request[Any]) -> bool:
        return self._is_up and super()._can_admit(request)

    def _check_waiting(self, request: Request[Any]) -> None:
        self._on_availability(Availability.FULL if self._is_up else Availability.DOWN)
        super()._check_waiting(request)
        held_since = max(request.taken_at, self._down_since)
        if not self._is_up and time.monotonic() >= held_since + self._hold_seconds:
            raise Unavailable("the engine is restarting: send the request again in a while")
