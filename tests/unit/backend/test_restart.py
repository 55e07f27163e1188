"""`ocrvl.restart`: pauses between starts, and failures that count."""

from __future__ import annotations

import pytest

from ocrvl.restart import FailureHistory, RestartPolicy


@pytest.mark.parametrize(
    ("failures", "seconds"), [(0, 0), (1, 0), (2, 1), (3, 2), (4, 4), (5, 8), (6, 16), (7, 30), (100, 30)]
)
def test_pauses_between_starts_double_up_to_half_a_minute(failures: int, seconds: float) -> None:
    assert RestartPolicy().pause(failures) == seconds


def test_failures_count_while_they_are_within_the_window() -> None:
    times = iter([0.0, 5.0, 10.0, 15.1])
    history = FailureHistory(RestartPolicy(failure_window_seconds=10), lambda: next(times))
    assert [history.add() for _ in range(4)] == [1, 2, 3, 2]
    assert len(history) == 2


def test_a_policy_of_no_failures_allows_none() -> None:
    assert not RestartPolicy(max_failures=0).allows(1)
    assert [RestartPolicy(max_failures=2).allows(failures) for failures in (1, 2, 3)] == [True, True, False]
