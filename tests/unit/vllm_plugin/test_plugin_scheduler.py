"""`ocrvl.vllm_plugin.scheduler`: which images wait for others."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import pytest
import vllm.v1.core.sched.scheduler as vllm_scheduler
from vllm.v1.core.sched.async_scheduler import AsyncScheduler
from vllm.v1.core.sched.scheduler import Scheduler

from ocrvl.vllm_plugin.scheduler import Gathering, GatherSettings, can_hold, make_scheduler

SETTINGS = GatherSettings(seconds=1, tokens=1000)


def busy_gathering(settings: GatherSettings = SETTINGS) -> Gathering:
    """One that has seen four images come within 0.3 s before time 0."""
    gathering = Gathering(settings)
    for now in (-0.3, -0.2, -0.1, 0.0):
        gathering.arrived(now)
    return gathering


def test_the_first_waits_for_others_until_its_time_is_over() -> None:
    gathering = busy_gathering()
    assert [gathering.holds(now, 100) for now in (0.0, 0.5, 0.9, 1.0)] == [True, True, True, False]


def test_those_that_come_later_do_not_make_the_first_wait_longer() -> None:
    gathering = busy_gathering()
    assert gathering.holds(0.0, 100)
    gathering.arrived(0.9)
    assert gathering.holds(0.9, 200)
    assert not gathering.holds(1.0, 200)


def test_as_much_as_is_worth_a_step_does_not_wait() -> None:
    gathering = busy_gathering()
    assert gathering.holds(0.0, 999)
    assert not gathering.holds(0.1, 1000)


def test_those_who_come_after_a_step_wait_anew() -> None:
    gathering = busy_gathering()
    assert gathering.holds(0.0, 999)
    assert not gathering.holds(0.1, 1000)
    assert gathering.holds(0.2, 100)
    assert gathering.holds(1.1, 100)


def test_where_nothing_waits_for_texts_in_progress_no_time_is_counted() -> None:
    gathering = busy_gathering()
    assert gathering.holds(0.0, 100)
    # it was withdrawn, say
    assert not gathering.holds(0.5, 0)
    gathering.arrived(1.4)
    assert gathering.holds(1.4, 100)


def test_where_images_come_seldom_none_waits() -> None:
    gathering = Gathering(SETTINGS)
    for now in (0.0, 1.5, 3.0):
        gathering.arrived(now)
        assert not gathering.holds(now, 100)
    gathering.arrived(4.5)
    assert not gathering.holds(4.5, 100)
    gathering.arrived(4.6)
    assert gathering.holds(4.6, 100)


def test_no_time_switches_it_off() -> None:
    assert not busy_gathering(GatherSettings(seconds=0)).holds(0.0, 100)


@pytest.mark.parametrize("own", [Scheduler, AsyncScheduler])
def test_the_installed_vllm_s_steps_can_begin_no_prompt(own: type) -> None:
    assert can_hold(own)


def test_a_vllm_that_cannot_hold_has_its_own_scheduler_and_that_is_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Unknown:
        def __init__(self, vllm_config: Any) -> None:
            self.vllm_config = vllm_config

        def schedule(self) -> None:
            """Has no argument."""

    monkeypatch.setattr(vllm_scheduler, "Scheduler", Unknown)
    # vLLM's logger, below which ours lies, does not hand on
    logger = logging.getLogger("vllm.ocrvl")
    logger.addHandler(caplog.handler)
    config = SimpleNamespace(scheduler_config=SimpleNamespace(async_scheduling=False), additional_config={})
    try:
        assert type(make_scheduler(vllm_config=config)) is Unknown
    finally:
        logger.removeHandler(caplog.handler)
    assert "this vLLM is not known" in caplog.text


class FakeScheduler:
    """Keeps what its steps are told."""

    def __init__(self, vllm_config: Any) -> None:
        self.waiting: list[Any] = []
        self.running: list[Any] = []
        self.max_num_running_reqs = 8
        self.told: list[bool] = []

    def add_request(self, request: Any) -> None:
        self.waiting.append(request)

    def schedule(self, throttle_prefills: bool = False) -> None:
        self.told.append(throttle_prefills)


def make_fake(monkeypatch: pytest.MonkeyPatch, gather: dict[str, float]) -> Any:
    monkeypatch.setattr(vllm_scheduler, "Scheduler", FakeScheduler)
    config = SimpleNamespace(
        scheduler_config=SimpleNamespace(async_scheduling=False), additional_config={"gather": gather}
    )
    return make_scheduler(vllm_config=config)


def request(*, tokens: int = 100, is_prefill_chunk: bool = False) -> Any:
    return SimpleNamespace(num_prompt_tokens=tokens, is_prefill_chunk=is_prefill_chunk)


def test_steps_hold_while_texts_are_in_progress_and_none_is_half_read(monkeypatch: pytest.MonkeyPatch) -> None:
    scheduler = make_fake(monkeypatch, {"seconds": 60, "tokens": 1000})
    for _ in range(4):
        scheduler.add_request(request())
    scheduler.schedule()
    scheduler.running = [request()]
    scheduler.schedule()
    scheduler.running = [request(), request(is_prefill_chunk=True)]
    scheduler.schedule()
    scheduler.running = [request()]
    scheduler.schedule()
    scheduler.add_request(request(tokens=600))
    scheduler.schedule()
    assert scheduler.told == [False, True, False, True, False]


def test_only_what_there_are_places_for_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    scheduler = make_fake(monkeypatch, {"seconds": 60, "tokens": 200})
    for _ in range(4):
        scheduler.add_request(request())
    for places in (0, 1, 2):
        scheduler.running = [request()] * (8 - places)
        scheduler.schedule()
    # nothing can begin, one waits for a second, two begin
    assert scheduler.told == [False, True, False]


def test_what_vllm_itself_holds_back_is_held_back(monkeypatch: pytest.MonkeyPatch) -> None:
    scheduler = make_fake(monkeypatch, {"seconds": 0})
    scheduler.schedule(throttle_prefills=True)
    scheduler.schedule(True)
    assert scheduler.told == [True, True]
