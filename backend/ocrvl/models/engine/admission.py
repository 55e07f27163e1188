"""Admission to the engine: how many images are inside, and who waits."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

from ocrvl.control_channel.messages import Availability
from ocrvl.errors import Cancelled, InvalidArgument, Unavailable
from ocrvl.models.cancel_scope import Work

_LOOK_SECONDS: Final = 0.05
"""How often a request that waits looks whether it was ended."""


class Admission:
    """At most `limit` images inside at a time; `enter` blocks for the rest.

    It is called from the model's `execute`: while it blocks, Triton hands the instance nothing, and what waits is in
    Triton's queue under Triton's rules. While the engine is down a request is held for `hold_seconds`, during which
    other instances take the others, and is then refused. `on_availability` is told every availability; it
    begins down.
    """

    def __init__(self, limit: int, hold_seconds: float, on_availability: Callable[[Availability], None]) -> None:
        self.limit = limit
        self._hold_seconds = hold_seconds
        self._on_door = on_availability
        self._changed = threading.Condition()
        self._inside = 0
        self._is_up = False

    @property
    def inside(self) -> int:
        """Images that were let in and have not left."""
        return self._inside

    def enter(self, images: int, work: Work, deadline: float | None) -> None:
        """Wait until there is room, and take it; `leave` gives it back.

        `deadline` is in seconds of `time.monotonic`. Raises `InvalidArgument` for a request that never fits,
        `Unavailable` where the engine is not running, `Cancelled` for work that was ended or past its deadline.
        """
        if images > self.limit:
            raise InvalidArgument(f"{images} images in one request, the engine takes {self.limit} at a time")
        down_since: float | None = None
        with self._changed:
            try:
                while not self._is_up or self._inside + images > self.limit:
                    self._on_door(Availability.FULL if self._is_up else Availability.DOWN)
                    work.check()
                    now = time.monotonic()
                    down_since = None if self._is_up else down_since or now
                    if deadline is not None and now >= deadline:
                        raise Cancelled("timeout_ms has passed before the engine could take the request")
                    if down_since is not None and now >= down_since + self._hold_seconds:
                        raise Unavailable("the engine is restarting: send the request again in a while")
                    self._changed.wait(_LOOK_SECONDS)
                work.check()
                self._inside += images
            finally:
                self._on_door(Availability.READY if self._is_up else Availability.DOWN)

    def leave(self, images: int) -> None:
        """Give back the room of a request that has its answer."""
        with self._changed:
            self._inside -= images
            self._changed.notify_all()

    def set_up(self, is_up: bool) -> None:
        """Whether the engine is running."""
        with self._changed:
            self._is_up = is_up
            self._changed.notify_all()
            self._on_door(Availability.READY if is_up else Availability.DOWN)
