"""`ocrvl_client._retry`: when a request is sent again, with a clock that is scripted."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from ocrvl_client import (
    InvalidRequest,
    OcrvlError,
    RequestCancelled,
    RequestTimeout,
    Retry,
    ServerError,
    ServerUnavailable,
)


@dataclass
class Server:
    """Takes `seconds` for each attempt and fails with the given errors, then answers."""

    errors: list[OcrvlError]
    seconds: float = 0.0
    now: float = 50.0
    given: list[float] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.pauses.append(seconds)

    def attempt(self, seconds: float) -> str:
        self.given.append(seconds)
        self.now += self.seconds
        if self.errors:
            raise self.errors.pop(0)
        return "answer"

    def ask(self, retry: Retry, timeout: float = 100.0, jitter: float = 0.0) -> str:
        return retry.run(self.attempt, timeout, clock=self.clock, sleep=self.sleep, jitter=lambda: jitter)


def unavailable(times: int) -> list[OcrvlError]:
    return [ServerUnavailable(f"full {number}") for number in range(times)]


def test_an_answer_is_not_requested_twice() -> None:
    server = Server([])
    assert server.ask(Retry()) == "answer"
    assert server.given == [100.0]


def test_an_unavailable_server_is_retried_after_pauses_that_double() -> None:
    server = Server(unavailable(4))
    assert server.ask(Retry(attempts=5, initial=0.5, maximum=3)) == "answer"
    assert server.pauses == [0.5, 1, 2, 3]


def test_pauses_are_shortened_at_random_by_up_to_a_half() -> None:
    server = Server(unavailable(2))
    server.ask(Retry(initial=1), jitter=1.0)
    assert server.pauses == [0.5, 1.0]


def test_after_the_last_attempt_its_error_is_raised() -> None:
    server = Server(unavailable(9))
    with pytest.raises(ServerUnavailable, match="full 2"):
        server.ask(Retry(attempts=3))
    assert len(server.given) == 3


@pytest.mark.parametrize("error", [InvalidRequest, RequestCancelled, RequestTimeout, ServerError])
def test_no_other_error_is_retried(error: type[OcrvlError]) -> None:
    server = Server([error("no")])
    with pytest.raises(error):
        server.ask(Retry(attempts=9))
    assert len(server.given) == 1


def test_the_timeout_bounds_all_attempts_together() -> None:
    server = Server(unavailable(2), seconds=3)
    server.ask(Retry(initial=1), timeout=20)
    assert server.given == [20, 20 - 3 - 1, 20 - 3 - 1 - 3 - 2]


def test_a_pause_beyond_the_timeout_is_not_waited_for() -> None:
    server = Server(unavailable(9))
    with pytest.raises(ServerUnavailable, match="full 1"):
        server.ask(Retry(attempts=9, initial=4, maximum=60), timeout=10)
    assert server.pauses == [4]


def test_any_number_of_attempts_is_possible() -> None:
    server = Server(unavailable(3000))
    assert server.ask(Retry(attempts=4000, initial=0.001, maximum=0.01)) == "answer"


@pytest.mark.parametrize("wrong", [{"attempts": 0}, {"initial": -1.0}, {"initial": 2.0, "maximum": 1.0}])
def test_impossible_settings_are_refused_by_name(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Retry(**wrong)  # type: ignore[arg-type]
