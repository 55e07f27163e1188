"""`ocrvl.launcher.supervise`: what is done when a server breaks, with servers and a clock that are scripted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType

import pytest

from ocrvl.launcher.server import ServerFailed
from ocrvl.launcher.supervise import RecoveryFailed, RecoveryPolicy, Supervisor

FOREVER = float("inf")


@dataclass
class World:
    """A clock that moves when somebody sleeps, and what happened when."""

    now: float = 100.0
    events: list[tuple[float, str]] = field(default_factory=list)
    alarms: list[tuple[float, Callable[[], None]]] = field(default_factory=list)

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        for alarm in [alarm for alarm in self.alarms if alarm[0] <= self.now]:
            self.alarms.remove(alarm)
            alarm[1]()

    def note(self, event: str) -> None:
        self.events.append((self.now - 100.0, event))

    @property
    def told(self) -> list[str]:
        return [event for _, event in self.events]

    def times(self, event: str) -> list[float]:
        return [when for when, what in self.events if what == event]


@dataclass
class ScriptedServer:
    """Needs `loading` seconds to be ready, or fails to; then breaks after some seconds, and takes some to stop."""

    world: World
    loading: float = 10.0
    fails: str = ""
    breaks_after: float = FOREVER
    failure: str = "stub died"
    ends: bool = False
    stopping: float = 1.0
    killed: bool = False
    ready_at: float = FOREVER

    def __enter__(self) -> ScriptedServer:
        self.world.note("start")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.world.note("end")

    def wait_until_ready(self, on_wait: Callable[[list[str], float], None]) -> None:
        waited = 0.0
        while waited < self.loading:
            if self.killed:
                raise ServerFailed("killed")
            on_wait(["model"], waited)
            self.world.sleep(1)
            waited += 1
        if self.fails:
            raise ServerFailed(self.fails)
        self.ready_at = self.world.now

    def look(self) -> str | None:
        return None if self.ends else self._failure()

    def describe_end(self) -> str | None:
        return self._failure() if self.ends else None

    def _failure(self) -> str | None:
        return self.failure if self.world.now >= self.ready_at + self.breaks_after else None

    def stop(self, within: float | None = None) -> None:
        self.world.note(f"stop {within}")
        until = self.world.now + min(self.stopping, 40.0 if within is None else within)
        while self.world.now < until and not self.killed:
            self.world.sleep(0.5)

    def kill(self) -> None:
        self.killed = True
        self.world.note("kill")


class Recorder:
    """Notes what an operator is told, but for the waiting."""

    def __init__(self, world: World) -> None:
        self.world = world

    def waiting(self, models: list[str], seconds: float) -> None:
        assert models == ["model"]

    def ready(self, recovery_seconds: float | None) -> None:
        self.world.note("ready" if recovery_seconds is None else f"ready again after {recovery_seconds:g}")

    def failed(self, failure: str) -> None:
        self.world.note(f"failed: {failure}")

    def ended(self, seconds: float) -> None:
        self.world.note(f"ended after {seconds:g}")

    def stopping(self) -> None:
        self.world.note("stopping")


def supervise(
    world: World, servers: list[ScriptedServer], policy: RecoveryPolicy | None = None
) -> Supervisor[ScriptedServer]:
    script = iter(servers)
    return Supervisor(
        lambda: next(script),
        lambda server: server.look,
        Recorder(world),
        policy or RecoveryPolicy(),
        clock=world.clock,
        sleep=world.sleep,
    )


def stop_after(world: World, supervisor: Supervisor[ScriptedServer], *seconds: float) -> None:
    world.alarms += [(world.now + after, supervisor.request_stop) for after in seconds]


def test_a_server_that_is_stopped_finishes_and_is_not_started_again() -> None:
    world = World()
    supervisor = supervise(world, [ScriptedServer(world)])
    stop_after(world, supervisor, 20)
    supervisor.run()
    assert world.told == ["start", "ready", "stopping", "stop None", "end"]


@pytest.mark.parametrize("ends", [False, True])
def test_a_stub_or_a_server_that_dies_is_reported_stopped_within_bounds_and_started_again(ends: bool) -> None:
    world = World()
    failed = ScriptedServer(world, breaks_after=7, ends=ends, stopping=60)
    supervisor = supervise(world, [failed, ScriptedServer(world)], RecoveryPolicy(drain_seconds=5))
    stop_after(world, supervisor, 100)
    supervisor.run()
    assert world.told == [
        *("start", "ready", "failed: stub died", "stop 5", "ended after 5", "end"),
        *("start", "ready again after 15", "stopping", "stop None", "end"),
    ]


def test_failure_is_noticed_within_two_seconds() -> None:
    world = World()
    supervisor = supervise(world, [ScriptedServer(world, breaks_after=7.01), ScriptedServer(world)])
    stop_after(world, supervisor, 100)
    supervisor.run()
    (noticed,) = world.times("failed: stub died")
    assert 0 <= noticed - (10 + 7.01) <= 2


def test_the_pauses_between_starts_grow() -> None:
    world = World()
    servers = [ScriptedServer(world, loading=0, breaks_after=0, stopping=0) for _ in range(4)]
    supervisor = supervise(world, [*servers, ScriptedServer(world)])
    stop_after(world, supervisor, 100)
    supervisor.run()
    assert world.times("start") == [0, 0, 1, 3, 7]


def test_too_many_failures_within_the_window_end_it() -> None:
    world = World()
    servers = [ScriptedServer(world, breaks_after=1, stopping=0) for _ in range(9)]
    with pytest.raises(RecoveryFailed, match="stub died; that is more than 2 failures within 600 seconds"):
        supervise(world, servers, RecoveryPolicy(max_failures=2)).run()
    assert world.told.count("start") == 3


def test_failures_that_are_far_apart_are_forgiven() -> None:
    world = World()
    servers = [ScriptedServer(world, breaks_after=601) for _ in range(9)]
    supervisor = supervise(world, servers, RecoveryPolicy(max_failures=1))
    stop_after(world, supervisor, 4000)
    supervisor.run()
    assert world.told.count("start") == 7


def test_a_recovery_that_hangs_is_begun_again_and_a_slow_one_is_not() -> None:
    world = World()
    first = ScriptedServer(world, loading=100, breaks_after=5)
    servers = [first, ScriptedServer(world, loading=290, breaks_after=5), ScriptedServer(world, loading=FOREVER)]
    supervisor = supervise(world, [*servers, ScriptedServer(world)])
    stop_after(world, supervisor, 2000)
    supervisor.run()
    assert [event for event in world.told if event.startswith("failed")] == [
        *("failed: stub died", "failed: stub died"),
        "failed: it could not be started again: still loading after 871 s: model",
    ]
    assert world.told.count("start") == 4


def test_a_first_start_may_take_as_long_as_it_takes() -> None:
    world = World()
    supervisor = supervise(world, [ScriptedServer(world, loading=5000)])
    stop_after(world, supervisor, 6000)
    supervisor.run()
    assert world.told[:2] == ["start", "ready"]


def test_without_recovery_the_first_failure_ends_it() -> None:
    world = World()
    with pytest.raises(RecoveryFailed, match=r"^stub died$"):
        supervise(world, [ScriptedServer(world, breaks_after=1)], RecoveryPolicy(max_failures=0)).run()
    assert world.told == ["start", "ready", "failed: stub died", "stop 5.0", "ended after 1", "end"]


def test_a_first_start_that_fails_is_not_tried_again() -> None:
    world = World()
    with pytest.raises(ServerFailed, match="no checkpoint"):
        supervise(world, [ScriptedServer(world, fails="no checkpoint"), ScriptedServer(world)]).run()
    assert world.told == ["start", "end"]


def test_a_restart_that_fails_is_tried_again_and_counts() -> None:
    world = World()
    servers = [ScriptedServer(world, breaks_after=1), *(ScriptedServer(world, fails="no GPU") for _ in range(2))]
    supervisor = supervise(world, [*servers, ScriptedServer(world)])
    stop_after(world, supervisor, 100)
    supervisor.run()
    assert world.told.count("failed: it could not be started again: no GPU") == 2
    assert "ready again after 34" in world.told  # 1 to stop, three starts of 10, pauses of 0, 1 and 2


def test_engines_that_all_gave_up_end_it() -> None:
    world = World()

    def look() -> str | None:
        raise RecoveryFailed("every engine has given up")

    supervisor = Supervisor(
        lambda: ScriptedServer(world), lambda _: look, Recorder(world), clock=world.clock, sleep=world.sleep
    )
    with pytest.raises(RecoveryFailed, match="every engine"):
        supervisor.run()
    assert world.told == ["start", "ready", "stop 5.0", "end"]


def test_a_stop_while_starting_kills_at_once() -> None:
    world = World()
    supervisor = supervise(world, [ScriptedServer(world, loading=60)])
    stop_after(world, supervisor, 3)
    supervisor.run()
    assert world.told == ["start", "kill", "end"]
    assert world.now <= 100 + 4


def test_a_second_stop_kills() -> None:
    world = World()
    supervisor = supervise(world, [ScriptedServer(world, stopping=60)])
    stop_after(world, supervisor, 20, 22)
    supervisor.run()
    assert world.told == ["start", "ready", "stopping", "stop None", "kill", "end"]


def test_a_stop_during_a_recovery_s_drain_ends_with_it() -> None:
    world = World()
    supervisor = supervise(world, [ScriptedServer(world, breaks_after=5, stopping=60), ScriptedServer(world)])
    stop_after(world, supervisor, 17)
    supervisor.run()
    assert world.told == ["start", "ready", "failed: stub died", "stop 5.0", "end"]


def test_a_stop_during_the_pause_before_a_start_is_heeded_within_a_second() -> None:
    world = World()
    servers = [ScriptedServer(world, loading=0, breaks_after=0, stopping=0) for _ in range(8)]
    supervisor = supervise(world, servers, RecoveryPolicy(max_failures=9))
    stop_after(world, supervisor, 40)  # in the pause of 30 seconds after the seventh start
    supervisor.run()
    assert world.told.count("start") == 7
    assert world.now <= 100 + 41


def test_a_stop_while_starting_again_is_no_failure() -> None:
    world = World()
    supervisor = supervise(world, [ScriptedServer(world, breaks_after=1), ScriptedServer(world, loading=60)])
    stop_after(world, supervisor, 30, 30.5)
    supervisor.run()
    assert world.told[-1] == "end"
