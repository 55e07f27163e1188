"""The thread that publishes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Final, Protocol

_STOP_SECONDS: Final = 5.0
"""How long `stop` waits: a publication takes milliseconds, but a server that is ending may never answer."""


class Publishes(Protocol):
    """What is published: a `Mirror`."""

    def publish(self) -> None:
        """Publish what has changed; called from one thread alone."""

    def close(self) -> None:
        """Stop publishing; called last, from the same thread."""


class Publisher:
    """Publishes every `interval` seconds, from `start` until `stop`, in a thread of its own.

    Each of `before_publish` is called first: to set gauges such as a heartbeat. What they or the publication raise
    is logged, once for each message, and does not stop the thread.
    """

    def __init__(
        self,
        mirror: Publishes,
        interval: float = 1.0,
        *,
        before_publish: Sequence[Callable[[], None]] = (),
        log: Callable[[str], None],
    ) -> None:
        self._steps = [*before_publish, mirror.publish]
        self._mirror = mirror
        self._interval = interval
        self._log = log
        self._logged: set[str] = set()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="metrics", daemon=True)

    def start(self) -> None:
        """Publish now, and from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Publish a last time and end the thread; what was published stays.

        Without effect where it never ran or has been stopped.
        """
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(_STOP_SECONDS)

    def _run(self) -> None:
        self._publish()
        while not self._stopping.wait(self._interval):
            self._publish()
        self._publish()
        self._mirror.close()

    def _publish(self) -> None:
        for step in self._steps:
            try:
                step()
            except Exception as error:
                message = f"metrics: {type(error).__name__}: {error}"
                if message not in self._logged:
                    self._logged.add(message)
                    self._log(message)
