"""Keeping a server running: what dies is noticed, stopped within bounds and started again, until it dies too often."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Generic, Protocol, Self, TypeVar

from ocrvl.launcher.server import ServerFailed
from ocrvl.restart import FailureHistory, RestartPolicy

LOOK_SECONDS = 0.25
"""Between two looks at a running server: what dies is noticed well within the two seconds that are promised."""

_SLOWER = 3.0
_SHORTEST_PATIENCE = 120.0
"""A recovery may take three times as long as the start before it, which may have had a checkpoint to fetch, and never
less than this: a start that hangs, as Triton 2.51's may on a busy machine, is begun again."""


class GaveUp(Exception):
    """The server cannot be kept running; the message says what died and what was tried."""


@dataclass(frozen=True, kw_only=True)
class RecoveryPolicy(RestartPolicy):
    """How a server that broke is started again; after too many failures it ends, so that whoever runs it can act.

    `drain_seconds`: how long requests that still run may take before the server is ended.
    """

    drain_seconds: float = 5.0


class Server(Protocol):
    """What supervision needs of a `TritonServer`."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def wait_until_ready(self, on_wait: Callable[[list[str], float], None]) -> None:
        """Wait, calling `on_wait` several times a second. Raises `ServerFailed`, and what `on_wait` raises."""

    def describe_end(self) -> str | None:
        """How the server ended; None while it runs."""

    def stop(self, within: float | None = None) -> None:
        """Stop admitting, wait so many seconds (its exit timeout if None) for what is in flight, then end it."""

    def kill(self) -> None:
        """End it at once."""


class Reports(Protocol):
    """What an operator is told."""

    def waiting(self, models: list[str], seconds: float) -> None:
        """Called several times a second while a server starts, with what is still loading."""

    def ready(self, recovery_seconds: float | None) -> None:
        """The server is ready; with the seconds since what was wrong was noticed, None at the first start."""

    def broken(self, trouble: str) -> None:
        """What is wrong with the server, or why it could not be started again."""

    def ended(self, seconds: float) -> None:
        """What was left of a broken server is gone, so many seconds after it was noticed."""

    def stopping(self) -> None:
        """A stop was asked for; requests in flight are waited for."""


S = TypeVar("S", bound=Server)


class Supervisor(Generic[S]):
    """Runs servers, one after the other.

    `start` makes one, not yet entered. `watch` is called when it is ready, for a function that looks at it: it
    returns what is wrong, None for nothing, and may raise `GaveUp`.
    """

    def __init__(
        self,
        start: Callable[[], S],
        watch: Callable[[S], Callable[[], str | None]],
        reports: Reports,
        policy: RecoveryPolicy = RecoveryPolicy(),
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._start = start
        self._watch = watch
        self._reports = reports
        self._policy = policy
        self._clock = clock
        self._sleep = sleep
        self._server: S | None = None
        self._stops_asked = 0
        self._broken_at: float | None = None
        self._start_seconds = 0.0
        self._failures = FailureHistory(policy, clock)

    def ask_to_stop(self) -> None:
        """Let requests in flight finish and end; a second call kills. For signal handlers: returns at once."""
        self._stops_asked += 1
        if self._stops_asked > 1 and self._server is not None:
            self._server.kill()

    def run(self) -> None:
        """Run until asked to stop. Raises `ServerFailed` where the first start fails, and `GaveUp`."""
        while (trouble := self._serve()) is not None:
            self._count(trouble)
            self._pause()
            if self._stops_asked:
                return

    def _serve(self) -> str | None:
        """One server from its start to its end; what was wrong with it, None where it was asked to stop."""
        try:
            with self._start() as server:
                self._server = server
                return self._look_after(server)
        except _StopAsked:
            return None
        except ServerFailed as error:
            if self._stops_asked:
                return None
            if self._broken_at is None:
                raise
            trouble = f"it could not be started again: {error}"
            self._reports.broken(trouble)
            return trouble
        finally:
            self._server = None

    def _look_after(self, server: S) -> str | None:
        began = self._clock()
        try:
            server.wait_until_ready(self._on_wait)
        except (_StopAsked, _StartHangs):
            server.kill()
            raise
        self._start_seconds = self._clock() - began
        self._reports.ready(None if self._broken_at is None else self._clock() - self._broken_at)
        look = self._watch(server)
        try:
            while not self._stops_asked:
                if trouble := server.describe_end() or look():
                    self._broken_at = self._clock()
                    self._reports.broken(trouble)
                    server.stop(self._policy.drain_seconds)
                    if self._stops_asked:
                        return None
                    self._reports.ended(self._clock() - self._broken_at)
                    return trouble
                self._sleep(LOOK_SECONDS)
        except GaveUp:
            server.stop(self._policy.drain_seconds)
            raise
        self._reports.stopping()
        server.stop()
        return None

    def _on_wait(self, models: list[str], seconds: float) -> None:
        if self._stops_asked:
            raise _StopAsked
        patience = max(_SHORTEST_PATIENCE, _SLOWER * self._start_seconds)
        if self._broken_at is not None and seconds > patience:
            raise _StartHangs(f"still loading after {seconds:.0f} s: {', '.join(models) or 'its endpoints'}")
        self._reports.waiting(models, seconds)

    def _count(self, trouble: str) -> None:
        policy = self._policy
        if not policy.allows(self._failures.add()):
            limit = f"{policy.max_failures} failures within {policy.failure_window_seconds:g} seconds"
            raise GaveUp(f"{trouble}; that is more than {limit}" if policy.max_failures else trouble)

    def _pause(self) -> None:
        until = self._clock() + self._policy.pause(len(self._failures))
        # in short naps, since a signal does not end a sleep
        while not self._stops_asked and (left := until - self._clock()) > 0:
            self._sleep(min(left, LOOK_SECONDS))


class _StopAsked(Exception):
    """A stop was asked for while a server was starting."""


class _StartHangs(ServerFailed):
    """A recovery takes far longer than the start before it."""
