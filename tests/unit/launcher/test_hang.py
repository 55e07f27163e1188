"""`ocrvl.launcher.hang`: a server that runs and does not work is told from one that is busy."""

from __future__ import annotations

import threading
from collections.abc import Callable

from ocrvl.launcher.hang import HangWatch

TIMEOUT = 60.0


class Watched:
    """A server that answers as a test says, looked at every quarter of a second of a clock that the test moves."""

    def __init__(self, run: Callable[[Callable[[], None]], None] = lambda job: job()) -> None:
        self.now = 100.0
        self.checks = 0
        self.answer: str | None = None
        self.error: Exception | None = None
        self.watch = HangWatch(self._check, TIMEOUT, clock=lambda: self.now, run=run)

    def _check(self) -> str | None:
        self.checks += 1
        if self.error:
            raise self.error
        return self.answer

    def look_for(self, seconds: float) -> str | None:
        """What was found within so many seconds."""
        until = self.now + seconds
        while self.now < until:
            self.now += 0.25
            if failure := self.watch.find_failure():
                return failure
        return None


def test_a_server_that_works_is_checked_a_few_times_within_the_timeout() -> None:
    server = Watched()
    assert server.look_for(10 * TIMEOUT) is None
    assert 38 <= server.checks <= 42


def test_what_is_wrong_for_as_long_as_the_timeout_is_reported_with_its_reason() -> None:
    server = Watched()
    server.look_for(TIMEOUT)
    server.answer = "no heartbeat"
    assert server.look_for(TIMEOUT - 1) is None
    assert server.look_for(TIMEOUT / 2) == "it has not worked for 60 s: no heartbeat"


def test_a_check_that_fails_itself_is_made_again_and_counts_as_wrong() -> None:
    server = Watched()
    server.look_for(TIMEOUT)
    server.error = OSError("no descriptors")
    checks = server.checks
    assert "no descriptors" in str(server.look_for(2 * TIMEOUT))
    assert server.checks > checks + 2


def test_one_good_answer_within_the_timeout_is_enough() -> None:
    server = Watched()
    server.look_for(TIMEOUT)
    for _ in range(5):
        server.answer = "a test image was not read within 10.0 s"
        assert server.look_for(TIMEOUT * 0.7) is None
        server.answer = None
        assert server.look_for(TIMEOUT * 0.3) is None


def test_a_server_that_never_answered_well_is_left_alone() -> None:
    server = Watched()
    server.answer = "no metrics on this port"
    assert server.look_for(10 * TIMEOUT) is None
    server.answer = None
    server.look_for(TIMEOUT)
    server.answer = "no heartbeat"
    assert server.look_for(2 * TIMEOUT) is not None


def test_a_look_does_not_wait_for_a_check_and_no_second_one_begins_meanwhile() -> None:
    jobs: list[Callable[[], None]] = []
    server = Watched(run=jobs.append)
    assert server.look_for(5 * TIMEOUT) is None
    assert len(jobs) == 1
    jobs.pop()()
    server.look_for(TIMEOUT)
    assert len(jobs) == 1


def test_checks_are_made_in_a_thread_of_their_own() -> None:
    names: list[str] = []
    has_looked = threading.Event()

    def check() -> None:
        names.append(threading.current_thread().name)
        has_looked.set()

    assert HangWatch(check, TIMEOUT).find_failure() is None
    assert has_looked.wait(20)
    assert names != [threading.current_thread().name]
