"""Who is let in, who waits, who is refused, as the engines' doors open and shut."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for

import pytest

from ocrvl.control_channel.engine_gate import Gate
from ocrvl.control_channel.messages import Delta, Door, DoorState, End, Message
from ocrvl.errors import Cancelled, Unavailable
from tests.support.doubles import PATIENCE

_MOMENT = 0.05
"""Seconds that a request is seen to wait; one that is let in at once does not use them up."""


class Visitors:
    """Requests at a gate, each in a thread of its own."""

    def __init__(self, gate: Gate, pool: ThreadPoolExecutor) -> None:
        self._gate = gate
        self._pool = pool

    def come(self, deadline: float | None = None, patience: float = PATIENCE) -> Future[None]:
        return self._pool.submit(self._gate.wait, deadline, patience)

    def come_and_wait(self, patience: float = PATIENCE) -> Future[None]:
        visitor = self.come(patience=patience)
        assert not is_done(visitor)
        return visitor


def is_done(visitor: Future[None]) -> bool:
    return bool(wait_for([visitor], timeout=_MOMENT).done)


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def visitors(gate: Gate) -> Iterator[Visitors]:
    with ThreadPoolExecutor(8) as pool:
        yield Visitors(gate, pool)
        # so that a test that failed ends
        gate.update("last", DoorState(Door.OPEN))


def set_doors(gate: Gate, *doors: Door) -> None:
    for number, door in enumerate(doors):
        gate.update(f"engine {number}", DoorState(door))


@pytest.mark.parametrize(
    "doors", [(Door.OPEN,), (Door.FULL, Door.OPEN), (Door.DOWN, Door.OPEN), (Door.OPEN, Door.FULL, Door.DOWN)]
)
def test_one_open_door_lets_in_even_those_whose_time_is_over(gate: Gate, doors: tuple[Door, ...]) -> None:
    set_doors(gate, *doors)
    gate.wait(deadline=time.monotonic() - 1, patience=0)


@pytest.mark.parametrize("doors", [(Door.FULL,), (Door.FULL, Door.FULL), (Door.FULL, Door.DOWN)])
def test_full_engines_are_waited_for_beyond_all_patience(
    gate: Gate, visitors: Visitors, doors: tuple[Door, ...]
) -> None:
    set_doors(gate, *doors)
    waiting = [visitors.come_and_wait(patience=0) for _ in range(3)]
    gate.update("engine 0", DoorState(Door.OPEN))
    assert [visitor.result(PATIENCE) for visitor in waiting] == [None] * 3


@pytest.mark.parametrize("doors", [(Door.DOWN,), (Door.DOWN, Door.DOWN)])
def test_requests_are_refused_at_once_where_every_engine_is_down(gate: Gate, doors: tuple[Door, ...]) -> None:
    set_doors(gate, *doors)
    with pytest.raises(Unavailable, match="the engine is restarting"):
        gate.wait(deadline=None, patience=PATIENCE)


def test_a_request_that_waits_is_refused_when_the_last_engine_goes_down(gate: Gate, visitors: Visitors) -> None:
    set_doors(gate, Door.FULL, Door.FULL)
    waiting = visitors.come_and_wait()
    gate.update("engine 0", DoorState(Door.DOWN))
    assert not is_done(waiting)
    gate.update("engine 1", DoorState(Door.DOWN))
    with pytest.raises(Unavailable, match="the engine is restarting"):
        waiting.result(PATIENCE)


def test_patience_ends_where_no_engine_comes(gate: Gate) -> None:
    with pytest.raises(Unavailable, match="no engine is running"):
        gate.wait(deadline=None, patience=_MOMENT)


def test_an_engine_that_comes_in_time_lets_in(gate: Gate, visitors: Visitors) -> None:
    waiting = visitors.come_and_wait()
    gate.update("late", DoorState(Door.OPEN))
    assert waiting.result(PATIENCE) is None


def test_an_engine_that_is_lost_is_no_longer_counted(gate: Gate, visitors: Visitors) -> None:
    set_doors(gate, Door.FULL, Door.DOWN)
    waiting = visitors.come_and_wait()
    gate.lose("engine 0")
    with pytest.raises(Unavailable, match="the engine is restarting"):
        waiting.result(PATIENCE)
    gate.lose("engine 1")
    gate.lose("one that never was")
    with pytest.raises(Unavailable, match="no engine is running"):
        gate.wait(deadline=None, patience=0)


def test_a_request_that_waits_when_all_engines_are_lost_waits_for_one_to_come_back(
    gate: Gate, visitors: Visitors
) -> None:
    set_doors(gate, Door.FULL)
    waiting = visitors.come_and_wait()
    gate.lose("engine 0")
    assert not is_done(waiting)
    gate.update("engine 0", DoorState(Door.OPEN))
    assert waiting.result(PATIENCE) is None


@pytest.mark.parametrize("doors", [(), (Door.FULL,)])
def test_a_deadline_ends_waiting(gate: Gate, doors: tuple[Door, ...]) -> None:
    set_doors(gate, *doors)
    with pytest.raises(Cancelled, match="timeout_ms has passed"):
        gate.wait(deadline=time.monotonic() + _MOMENT, patience=PATIENCE)


@pytest.mark.parametrize("message", [Delta("s", 0, "Soup"), End("s")])
def test_what_is_said_about_streams_opens_nothing(gate: Gate, message: Message) -> None:
    gate.update("engine 0", message)
    with pytest.raises(Unavailable, match="no engine is running"):
        gate.wait(deadline=None, patience=0)
