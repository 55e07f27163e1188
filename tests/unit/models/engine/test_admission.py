"""`ocrvl.models.engine.admission`: never more admitted than the limit, and nobody waits without an end."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocrvl.control_channel.messages import Availability
from ocrvl.errors import Cancelled, InvalidArgument, Unavailable
from ocrvl.metrics.definitions import CancelReason
from ocrvl.models.engine.admission import EngineAdmission
from ocrvl.models.request import Request
from tests.support.doubles import WAIT_SECONDS, request_of, wait_until

_MOMENT = 0.1
"""Seconds that a request is seen to wait; one that is admitted at once does not use them up."""


class Entrance:
    """An admission of 4, what it announced, and requests that come, each in a thread of its own."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self.announced: list[Availability] = []
        self.admission = EngineAdmission(4, WAIT_SECONDS, self.announced.append)
        self._pool = pool

    def come(self, request: Request[Any]) -> Future[None]:
        return self._pool.submit(self.admission.enter, request)

    def come_and_wait(self, request: Request[Any]) -> Future[None]:
        """A request that is not admitted at once."""
        self.announced.clear()
        waiting = self.come(request)
        wait_until(lambda: self.announced)
        assert not wait_for([waiting], timeout=_MOMENT).done
        return waiting


@pytest.fixture
def entrance() -> Iterator[Entrance]:
    """An entrance of an engine that is up."""
    with ThreadPoolExecutor(16) as pool:
        entrance = Entrance(pool)
        entrance.admission.set_up(True)
        yield entrance
        # so that a test that failed ends
        entrance.admission.limit = 1000
        entrance.admission.set_up(True)


def test_requests_enter_while_there_is_room_and_then_wait_for_it(entrance: Entrance) -> None:
    for images in (1, 3):
        entrance.come(request_of(images)).result(WAIT_SECONDS)
    assert entrance.admission.admitted == 4
    waiting = entrance.come_and_wait(request_of(2))
    entrance.admission.leave(request_of(1))
    assert not wait_for([waiting], timeout=_MOMENT).done
    entrance.admission.leave(request_of(3))
    waiting.result(WAIT_SECONDS)
    assert entrance.admission.admitted == 2


@pytest.mark.parametrize("is_up", [True, False])
def test_what_never_fits_is_refused_at_once_even_while_the_engine_is_down(entrance: Entrance, is_up: bool) -> None:
    entrance.admission.set_up(is_up)
    with pytest.raises(InvalidArgument, match="5 images in one request, the engine takes 4 at a time"):
        entrance.admission.enter(request_of(5))


@pytest.mark.parametrize("hold_seconds", [0.0, _MOMENT])
def test_no_one_enters_an_engine_that_is_down_and_is_refused_when_holding_ends(hold_seconds: float) -> None:
    admission = EngineAdmission(4, hold_seconds, lambda _availability: None)
    with pytest.raises(Unavailable, match="the engine is restarting"):
        admission.enter(request_of(1))
    assert admission.admitted == 0


def test_a_full_engine_that_is_up_is_waited_for_beyond_all_holding() -> None:
    admission = EngineAdmission(4, 0.0, lambda _availability: None)
    admission.set_up(True)
    admission.enter(request_of(4))
    with pytest.raises(Cancelled, match="timeout_ms has passed"):
        admission.enter(request_of(1, _MOMENT))


def test_a_request_that_is_held_enters_when_the_engine_is_back(entrance: Entrance) -> None:
    entrance.admission.set_up(False)
    held = entrance.come_and_wait(request_of(1))
    entrance.admission.set_up(True)
    held.result(WAIT_SECONDS)
    assert entrance.admission.admitted == 1


def test_room_that_is_left_while_the_engine_is_down_admits_nobody(entrance: Entrance) -> None:
    entrance.come(request_of(4)).result(WAIT_SECONDS)
    waiting = entrance.come_and_wait(request_of(1))
    entrance.admission.set_up(False)
    entrance.admission.leave(request_of(4))
    assert not wait_for([waiting], timeout=_MOMENT).done
    entrance.admission.set_up(True)
    waiting.result(WAIT_SECONDS)


@pytest.mark.parametrize("is_up", [True, False])
def test_a_request_that_is_ended_stops_waiting(entrance: Entrance, is_up: bool) -> None:
    entrance.come(request_of(4)).result(WAIT_SECONDS)
    entrance.admission.set_up(is_up)
    request = request_of(1)
    waiting = entrance.come_and_wait(request)
    request.scope.end(CancelReason.CALLER)
    with pytest.raises(Cancelled, match="its caller went away"):
        waiting.result(WAIT_SECONDS)
    assert entrance.admission.admitted == 4


def test_a_request_that_was_ended_before_is_not_admitted_though_it_fits(entrance: Entrance) -> None:
    request = request_of(1)
    request.scope.end(CancelReason.TOKEN)
    with pytest.raises(Cancelled, match="cancelled by its token"):
        entrance.admission.enter(request)
    assert entrance.admission.admitted == 0


@pytest.mark.parametrize("is_up", [True, False])
def test_a_deadline_ends_waiting(entrance: Entrance, is_up: bool) -> None:
    entrance.come(request_of(4)).result(WAIT_SECONDS)
    entrance.admission.set_up(is_up)
    with pytest.raises(Cancelled, match="timeout_ms has passed"):
        entrance.admission.enter(request_of(1, _MOMENT))
    assert entrance.admission.admitted == 4


def told_last(entrance: Entrance, availability: Availability) -> bool:
    return entrance.announced[-1:] == [availability]


def test_it_is_announced_full_while_a_request_waits_and_ready_when_it_has_entered(entrance: Entrance) -> None:
    entrance.come(request_of(4)).result(WAIT_SECONDS)
    assert told_last(entrance, Availability.READY)
    waiting = entrance.come_and_wait(request_of(1))
    assert set(entrance.announced) == {Availability.FULL}
    entrance.admission.leave(request_of(1))
    waiting.result(WAIT_SECONDS)
    assert told_last(entrance, Availability.READY)


def test_it_is_announced_down_while_the_engine_is_and_whatever_becomes_of_those_who_wait(
    entrance: Entrance,
) -> None:
    entrance.come(request_of(4)).result(WAIT_SECONDS)
    entrance.admission.set_up(False)
    assert told_last(entrance, Availability.DOWN)
    request = request_of(1)
    waiting = entrance.come_and_wait(request)
    request.scope.end(CancelReason.CALLER)
    with pytest.raises(Cancelled):
        waiting.result(WAIT_SECONDS)
    assert set(entrance.announced) == {Availability.DOWN}
    entrance.admission.set_up(True)
    assert told_last(entrance, Availability.READY)


@settings(deadline=None)
@given(st.lists(st.one_of(st.integers(1, 5), st.sampled_from(["leave", "up", "down"])), max_size=30))
def test_a_request_that_cannot_wait_enters_exactly_when_it_fits_and_the_engine_is_up(
    steps: list[int | str],
) -> None:
    admission = EngineAdmission(4, 0.0, lambda _availability: None)
    inside: list[int] = []
    is_up = False
    for step in steps:
        if isinstance(step, int):
            fits = is_up and sum(inside) + step <= 4
            try:
                admission.enter(request_of(step, 0.0))
            except (Cancelled, InvalidArgument):
                assert not fits
            else:
                assert fits
                inside.append(step)
        elif step == "leave" and inside:
            admission.leave(request_of(inside.pop()))
        elif step != "leave":
            is_up = step == "up"
            admission.set_up(is_up)
        assert admission.admitted == sum(inside)


def test_a_storm_of_threads_never_has_more_inside_than_the_limit(entrance: Entrance) -> None:
    random, lock = Random(5), threading.Lock()
    inside, most = 0, 0
    requests = [random.randint(1, 4) for _ in range(300)]

    def visit(images: int) -> None:
        nonlocal inside, most
        entrance.admission.enter(request_of(images))
        with lock:
            inside += images
            most = max(most, inside)
        time.sleep(0)
        with lock:
            inside -= images
        entrance.admission.leave(request_of(images))

    with ThreadPoolExecutor(16) as pool:
        visits = [pool.submit(visit, images) for images in requests]
        for _ in range(3):
            entrance.admission.set_up(False)
            entrance.admission.set_up(True)
    for done in visits:
        done.result()
    assert most == 4
    assert entrance.admission.admitted == 0
