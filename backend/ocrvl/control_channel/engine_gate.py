"""Where `preprocess` waits: images are not decoded ahead of engines that are full."""

from __future__ import annotations

import threading
import time

from ocrvl.control_channel.messages import Door, DoorState, Message
from ocrvl.errors import Cancelled, Unavailable


class Gate:
    """Follows the doors of all engines; open while one of them is. Any thread may use it.

    Waiting here, a request is still encoded, and the ones behind it are in Triton's queue: beyond its size callers are
    refused before anything is decoded for them.
    """

    def __init__(self) -> None:
        self._doors: dict[str, Door] = {}
        self._empty_since = time.monotonic()
        self._changed = threading.Condition()

    def update(self, replica: str, message: Message) -> None:
        """Take in what an engine said."""
        if isinstance(message, DoorState):
            with self._changed:
                self._doors[replica] = message.door
                self._changed.notify_all()

    def lose(self, replica: str) -> None:
        """An engine's process has gone."""
        with self._changed:
            if self._doors.pop(replica, None) and not self._doors:
                self._empty_since = time.monotonic()
            self._changed.notify_all()

    def wait(self, deadline: float | None, patience: float = 2.0) -> None:
        """Wait until an engine's door is open.

        `deadline` is in seconds of `time.monotonic`. Raises `Unavailable` where every engine is down, or none has
        been there for `patience` seconds; `Cancelled` past the deadline.
        """
        arrived = time.monotonic()
        with self._changed:
            while Door.OPEN not in self._doors.values():
                now = time.monotonic()
                if deadline is not None and now >= deadline:
                    raise Cancelled("timeout_ms has passed before an engine could take the request")
                if self._doors and all(door is Door.DOWN for door in self._doors.values()):
                    raise Unavailable("the engine is restarting: send the request again in a while")
                lost_patience = max(arrived, self._empty_since) + patience
                if not self._doors and now >= lost_patience:
                    raise Unavailable("no engine is running: send the request again in a while")
                limits = [limit for limit in (deadline, None if self._doors else lost_patience) if limit]
                self._changed.wait(min(limits) - now if limits else None)
