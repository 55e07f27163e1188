"""Who is let in, who waits, who is refused, as the engines' availabilities open and shut."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for

import pytest

from ocrvl.control_channel.engine_gate import EngineGate
from ocrvl.control_channel.messages import Availability, AvailabilityChanged, Delta, End, Message
from ocrvl.errors import Cancelled, Unavailable
from tests.support.doubles import WAIT_SECONDS

_MOMENT = 0.05
"""Seconds that a request is seen to wait; one that is let in at once does not use them up."""


class Visitors:
    """Requests at a gate, each in a thread of its own."""

    def __init__(self, gate: EngineGate, pool: ThreadPoolExecutor) -> None:
        self._gate = gate
        self._pool = pool

    def come(self, deadline: float | None = None, connect_timeout: float = WAIT_SECONDS) -> Future[None]:
        return self._pool.submit(self._gate.wait, deadline, connect_timeout)

    def come_and_wait(self, connect_timeout: float = WAIT_SECONDS) -> Future[None]:
        visitor = self.come(connect_timeout=connect_timeout)
        assert not is_done(visitor)
        return visitor


def is_done(visitor: Future[None]) -> bool:
    return bool(wait_for([visitor], timeout=_MOMENT).done)


@pytest.fixture
def gate() -> EngineGate:
    return EngineGate()


@pytest.fixture
def visitors(gate: EngineGate) -> Iterator[Visitors]:
    with ThreadPoolExecutor(8) as pool:
        yield Visitors(gate, pool)
        # so that a test that failed ends
        gate.update("last", AvailabilityChanged(Availability.READY))


def set_availabilities(gate: EngineGate, *availabilities: Availability) -> None:
    for number, availability in enumerate(availabilities):
        gate.update(f"engine {number}", AvailabilityChanged(availability))


@pytest.mark.parametrize(
    "availabilities",
    [
        (Availability.READY,),
        (Availability.FULL, Availability.READY),
        (Availability.DOWN, Availability.READY),
        (Availability.READY, Availability.FULL, Availability.DOWN),
    ],
)
def test_one_ready_engine_lets_in_even_those_whose_time_is_over(
    gate: EngineGate, availabilities: tuple[Availability, ...]
) -> None:
    set_availabilities(gate, *availabilities)
    gate.wait(deadline=time.monotonic() - 1, connect_timeout=0)


@pytest.mark.parametrize(
    "availabilities",
    [(Availability.FULL,), (Availability.FULL, Availability.FULL), (Availability.FULL, Availability.DOWN)],
)
def test_full_engines_are_waited_for_beyond_all_timeouts(
    gate: EngineGate, visitors: Visitors, availabilities: tuple[Availability, ...]
) -> None:
    set_availabilities(gate, *availabilities)
    waiting = [visitors.come_and_wait(connect_timeout=0) for _ in range(3)]
    gate.update("engine 0", AvailabilityChanged(Availability.READY))
    assert [visitor.result(WAIT_SECONDS) for visitor in waiting] == [None] * 3


@pytest.mark.parametrize("availabilities", [(Availability.DOWN,), (Availability.DOWN, Availability.DOWN)])
def test_requests_are_refused_at_once_where_every_engine_is_down(
    gate: EngineGate, availabilities: tuple[Availability, ...]
) -> None:
    set_availabilities(gate, *availabilities)
    with pytest.raises(Unavailable, match="the engine is restarting"):
        gate.wait(deadline=None, connect_timeout=WAIT_SECONDS)


def test_a_request_that_waits_is_refused_when_the_last_engine_goes_down(gate: EngineGate, visitors: Visitors) -> None:
    set_availabilities(gate, Availability.FULL, Availability.FULL)
    waiting = visitors.come_and_wait()
    gate.update("engine 0", AvailabilityChanged(Availability.DOWN))
    assert not is_done(waiting)
    gate.update("engine 1", AvailabilityChanged(Availability.DOWN))
    with pytest.raises(Unavailable, match="the engine is restarting"):
        waiting.result(WAIT_SECONDS)


def test_waiting_ends_where_no_engine_comes(gate: EngineGate) -> None:
    with pytest.raises(Unavailable, match="no engine is running"):
        gate.wait(deadline=None, connect_timeout=_MOMENT)


def test_an_engine_that_comes_in_time_lets_in(gate: EngineGate, visitors: Visitors) -> None:
    waiting = visitors.come_and_wait()
    gate.update("late", AvailabilityChanged(Availability.READY))
    assert waiting.result(WAIT_SECONDS) is None


def test_an_engine_that_is_lost_is_no_longer_counted(gate: EngineGate, visitors: Visitors) -> None:
    set_availabilities(gate, Availability.FULL, Availability.DOWN)
    waiting = visitors.come_and_wait()
    gate.lose("engine 0")
    with pytest.raises(Unavailable, match="the engine is restarting"):
        waiting.result(WAIT_SECONDS)
    gate.lose("engine 1")
    gate.lose("one that never was")
    with pytest.raises(Unavailable, match="no engine is running"):
        gate.wait(deadline=None, connect_timeout=0)


def test_a_request_that_waits_when_all_engines_are_lost_waits_for_one_to_come_back(
    gate: EngineGate, visitors: Visitors
) -> None:
    set_availabilities(gate, Availability.FULL)
    waiting = visitors.come_and_wait()
    gate.lose("engine 0")
    assert not is_done(waiting)
    gate.update("engine 0", AvailabilityChanged(Availability.READY))
    assert waiting.result(WAIT_SECONDS) is None


@pytest.mark.parametrize("availabilities", [(), (Availability.FULL,)])
def test_a_deadline_ends_waiting(gate: EngineGate, availabilities: tuple[Availability, ...]) -> None:
    set_availabilities(gate, *availabilities)
    with pytest.raises(Cancelled, match="timeout_ms has passed"):
        gate.wait(deadline=time.monotonic() + _MOMENT, connect_timeout=WAIT_SECONDS)


@pytest.mark.parametrize("message", [Delta("s", 0, "Soup"), End("s")])
def test_what_is_said_about_streams_opens_nothing(gate: EngineGate, message: Message) -> None:
    gate.update("engine 0", message)
    with pytest.raises(Unavailable, match="no engine is running"):
        gate.wait(deadline=None, connect_timeout=0)


def test_the_connect_timeout_counts_from_when_the_last_engine_was_lost() -> None:
    gate = EngineGate()
    gate.update("e", AvailabilityChanged(Availability.FULL))
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(gate.wait, None, 0.5)
        time.sleep(0.7)
        gate.lose("e")
        time.sleep(0.1)
        gate.update("e", AvailabilityChanged(Availability.READY))
        assert waiting.result(5) is None
