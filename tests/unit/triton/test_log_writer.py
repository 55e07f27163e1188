"""`ocrvl.triton.log_writer`: lines for a log that is slow to take them."""

from __future__ import annotations

import threading
import time
from functools import partial
from itertools import pairwise
from types import SimpleNamespace

import pytest

from ocrvl.triton import log_writer as lines
from ocrvl.triton.log_writer import LogWriter


def test_all_lines_are_written_in_order_by_one_thread_of_its_own() -> None:
    written: list[tuple[str, str]] = []
    spread = LogWriter(threading.Lock())
    for number in range(50):
        spread.add(lambda line: written.append((line, threading.current_thread().name)), str(number))
    spread.flush()
    assert written == [(str(number), "log") for number in range(50)]


def test_lines_that_come_together_are_written_apart() -> None:
    times: list[float] = []
    spread = LogWriter(threading.Lock())
    for _ in range(10):
        spread.add(lambda _line: times.append(time.monotonic()), "")
    while len(times) < 10:
        time.sleep(0.01)
    # each waits at least so long, whatever the machine does
    assert all(later - earlier >= 0.001 for earlier, later in pairwise(times))


def test_of_many_lines_each_gets_less_time(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(lines, "time", SimpleNamespace(sleep=slept.append))
    lock = threading.Lock()
    spread = LogWriter(lock)
    with lock:
        for _ in range(1000):
            spread.add(str, "")
    while len(slept) < 1000:
        time.sleep(0.01)
    assert slept == sorted(slept)
    assert slept[0] == pytest.approx(0.0001)
    assert slept[-1] == 0.001


def test_a_line_waits_a_fifth_of_a_second_for_others() -> None:
    woken: list[float] = []
    spread = LogWriter(threading.Lock())
    began = time.monotonic()
    spread.add(lambda _line: woken.append(time.monotonic()), "")
    while not woken:
        time.sleep(0.01)
    assert woken[0] - began >= 0.2


def test_nothing_else_is_on_its_way_together_with_a_line() -> None:
    lock = threading.Lock()
    spread = LogWriter(lock)
    written: list[bool] = []
    with lock:
        spread.add(lambda _line: written.append(lock.locked()), "")
        time.sleep(0.3)
        assert written == []
    spread.flush()
    assert written == [True]


def test_who_adds_a_line_does_not_wait_for_the_log() -> None:
    free = threading.Event()
    spread = LogWriter(threading.Lock())
    written: list[str] = []

    def write_slowly(line: str) -> None:
        free.wait(30)
        written.append(line)

    spread.add(write_slowly, "slow")
    for number in range(100):
        spread.add(written.append, str(number))
    assert written == []
    free.set()
    spread.flush()
    assert written == ["slow", *map(str, range(100))]


def test_memory_is_bounded_where_the_log_stands_still(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "_MOST_WAITING", 3)
    free, added = threading.Event(), threading.Event()
    spread = LogWriter(threading.Lock())
    written: list[str] = []
    spread.add(lambda _line: free.wait(30), "slow")

    def add_more() -> None:
        for number in range(5):
            spread.add(written.append, str(number))
        added.set()

    adding = threading.Thread(target=add_more)
    adding.start()
    assert not added.wait(0.2)
    free.set()
    adding.join(30)
    spread.flush()
    assert written == list("01234")


def test_a_line_that_cannot_be_written_costs_no_other(capfd: pytest.CaptureFixture[str]) -> None:
    written: list[str] = []
    spread = LogWriter(threading.Lock())
    spread.add(partial(int, base=10), "no number")
    spread.add(written.append, "next")
    spread.flush()
    assert written == ["next"]
    assert "invalid literal" in capfd.readouterr().err


def test_after_the_end_lines_are_written_at_once() -> None:
    spread = LogWriter(threading.Lock())
    spread.flush()
    written: list[str] = []
    spread.add(written.append, "late")
    spread.flush()
    assert written == ["late"]
