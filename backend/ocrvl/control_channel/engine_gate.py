"""Where `preprocess` waits: images are not decoded ahead of engines that are full."""

from __future__ import annotations

import threading
import time

from ocrvl.control_channel.messages import Availability, AvailabilityChanged, Message
from ocrvl.errors import Cancelled, Unavailable


class EngineGate:
    """Follows which engines can take requests; open while one of them can. Any thread may use it.

    Waiting here, a request is still encoded, and the ones behind it are in Triton's queue: beyond its size callers are
    refused before anything is decoded for them.
    """

    def __init__(self) -> None:
        self._engines: dict[str, Availability] = {}
        self._empty_since = time.monotonic()
        self._changed = threading.Condition()

    def update(self, replica: str, message: Message) -> None:
        """Take in what an engine said."""
        if isinstance(message, AvailabilityChanged):
            with self._changed:
                self._engines[replica] = message.availability
                self._changed.notify_all()

    def lose(self, replica: str) -> None:
        """An engine's process has gone."""
        with self._changed:
            if self._engines.pop(replica, None) and not self._engines:
                self._empty_since = time.monotonic()
            self._changed.notify_all()

    def wait(self, deadline: float | None, connect_timeout: float = 2.0) -> None:
        """Wait until an engine can take a request.

        `deadline` is in seconds of `time.monotonic`. Raises `Unavailable` where every engine is down, or none has
        been there for `connect_timeout` seconds; `Cancelled` past the deadline.
        """
        arrived = time.monotonic()
        with self._changed:
            while Availability.READY not in self._engines.values():
                now = time.monotonic()
                if deadline is not None and now >= deadline:
                    raise Cancelled("timeout_ms has passed before an engine could take the request")
                if self._engines and all(availability is Availability.DOWN for availability in self._engines.values()):
                    raise Unavailable("the engine is restarting: send the request again in a while")
                no_engine_at = max(arrived, self._empty_since) + connect_timeout
                if not self._engines and now >= no_engine_at:
                    raise Unavailable("no engine is running: send the request again in a while")
                limits = [limit for limit in (deadline, None if self._engines else no_engine_at) if limit]
                self._changed.wait(min(limits) - now if limits else None)
