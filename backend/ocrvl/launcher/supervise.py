"""Supervision of a server: one that fails is stopped within bounds and started again, until it fails too often."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Generic, Protocol, Self, TypeVar

from ocrvl.launcher.server import ServerFailed
from ocrvl.restart import FailureHistory, RestartPolicy

POLL_SECONDS = 0.25
"""Between two checks of a running server: a failure is noticed well within the two seconds that are promised."""

_SLOWER = 3.0
_MIN_START_TIMEOUT = 120.0
"""A recovery may take three times as long as the start before it, which may have had a checkpoint to fetch, and never
less than this: a start that hangs, as Triton 2.51's may on a busy machine, is begun again."""


class RecoveryFailed(Exception):
    """The server cannot be kept running; the message says what failed and how often."""


@dataclass(frozen=True, kw_only=True)
class RecoveryPolicy(RestartPolicy):
    """How a server that failed is started again; after too many failures it ends, so that whoever runs it can act.

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
    """What an operator sees."""

    def waiting(self, models: list[str], seconds: float) -> None:
        """Called several times a second while a server starts, with what is still loading."""

    def ready(self, recovery_seconds: float | None) -> None:
        """The server is ready; with the seconds since its failure was noticed, None at the first start."""

    def failed(self, failure: str) -> None:
        """Why the server failed, or why it could not be started again."""

    def ended(self, seconds: float) -> None:
        """All processes of a failed server have ended, so many seconds after its failure was noticed."""

    def stopping(self) -> None:
        """A stop was requested; requests in flight are waited for."""


S = TypeVar("S", bound=Server)


class Supervisor(Generic[S]):
    """Runs servers, one after the other.

    `start` makes one, not yet entered. `watch` is called when it is ready, for a function that checks it: it
    returns why it failed, None where it did not, and may raise `RecoveryFailed`.
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
        self._stop_requests = 0
        self._failed_at: float | None = None
        self._start_seconds = 0.0
        self._failures = FailureHistory(policy, clock)

    def request_stop(self) -> None:
        """Let requests in flight finish and end; a second call kills. For signal handlers: returns at once."""
        self._stop_requests += 1
        if self._stop_requests > 1 and self._server is not None:
            self._server.kill()

    def run(self) -> None:
        """Run until a stop is requested. Raises `ServerFailed` where the first start fails, and `RecoveryFailed`."""
        while (failure := self._run_once()) is not None:
            self._count(failure)
            self._pause()
            if self._stop_requests:
                return

    def _run_once(self) -> str | None:
        """One server from its start to its end; why it failed, None where a stop was requested."""
        try:
            with self._start() as server:
                self._server = server
                return self._monitor(server)
        except _StopRequested:
            return None
        except ServerFailed as error:
            if self._stop_requests:
                return None
            if self._failed_at is None:
                raise
            failure = f"it could not be started again: {error}"
            self._reports.failed(failure)
            return failure
        finally:
            self._server = None

    def _monitor(self, server: S) -> str | None:
        began = self._clock()
        try:
            server.wait_until_ready(self._on_wait)
        except (_StopRequested, _StartTimedOut):
            server.kill()
            raise
        self._start_seconds = self._clock() - began
        self._reports.ready(None if self._failed_at is None else self._clock() - self._failed_at)
        check = self._watch(server)
        try:
            while not self._stop_requests:
                if failure := server.describe_end() or check():
                    self._failed_at = self._clock()
                    self._reports.failed(failure)
                    server.stop(self._policy.drain_seconds)
                    if self._stop_requests:
                        return None
                    self._reports.ended(self._clock() - self._failed_at)
                    return failure
                self._sleep(POLL_SECONDS)
        except RecoveryFailed:
            server.stop(self._policy.drain_seconds)
            raise
        self._reports.stopping()
        server.stop()
        return None

    def _on_wait(self, models: list[str], seconds: float) -> None:
        if self._stop_requests:
            raise _StopRequested
        timeout = max(_MIN_START_TIMEOUT, _SLOWER * self._start_seconds)
        if self._failed_at is not None and seconds > timeout:
            raise _StartTimedOut(f"still loading after {seconds:.0f} s: {', '.join(models) or 'its endpoints'}")
        self._reports.waiting(models, seconds)

    def _count(self, failure: str) -> None:
        policy = self._policy
        if not policy.allows(self._failures.add()):
            limit = f"{policy.max_failures} failures within {policy.failure_window_seconds:g} seconds"
            raise RecoveryFailed(f"{failure}; that is more than {limit}" if policy.max_failures else failure)

    def _pause(self) -> None:
        until = self._clock() + self._policy.pause(len(self._failures))
        # in short naps, since a signal does not end a sleep
        while not self._stop_requests and (left := until - self._clock()) > 0:
            self._sleep(min(left, POLL_SECONDS))


class _StopRequested(Exception):
    """A stop was requested while a server was starting."""


class _StartTimedOut(ServerFailed):
    """A recovery takes far longer than the start before it."""
