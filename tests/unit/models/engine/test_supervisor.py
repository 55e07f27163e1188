"""What becomes of requests, and of the engine, when it dies, stalls or does not start."""

from __future__ import annotations

import asyncio
import time

import pytest

from ocrvl.errors import InvalidArgument, Unavailable
from ocrvl.messages import Reading
from ocrvl.metrics.definitions import RestartReason
from ocrvl.models.engine.supervisor import Supervisor
from ocrvl.options import Options
from ocrvl.wire import EngineState
from tests.support.benches import FOR_EVER, Policy, Workshop
from tests.support.doubles import ScriptedEngine, pack, until


async def read_here(supervisor: Supervisor) -> Reading:
    (image,) = pack().images()
    return await supervisor.read(image, Options(), "id")


def read(supervisor: Supervisor) -> asyncio.Task[Reading]:
    return asyncio.create_task(read_here(supervisor))


async def be_busy(supervisor: Supervisor, engine: ScriptedEngine, readers: int) -> list[asyncio.Task[Reading]]:
    reads = [read(supervisor) for _ in range(readers)]
    await until(lambda: engine.at_work == readers)
    return reads


def test_an_engine_that_died_fails_what_it_was_reading_and_is_started_again() -> None:
    first, second = ScriptedEngine(None), ScriptedEngine("Soup")

    async def scenario() -> None:
        workshop = Workshop([first, second])
        async with workshop.supervisor(Policy()) as supervisor:
            reads = await be_busy(supervisor, first, 3)
            first.is_dying = True
            for failed in reads:
                with pytest.raises(Unavailable, match="the engine stopped while it read this image"):
                    await failed
            await until(lambda: supervisor.state is EngineState.READY)
            assert (await read(supervisor)).text == "Soup"
        assert workshop.states == [EngineState.READY, EngineState.STARTING, EngineState.READY]
        assert workshop.restarts == [RestartReason.DIED]
        assert workshop.log[0] == "the engine died; 3 images in flight fail with UNAVAILABLE"
        assert (first.ends, second.ends, first.at_work) == (["killed"], ["stopped"], 0)

    asyncio.run(scenario())


def test_a_caller_whose_read_failed_can_go_on() -> None:
    first = ScriptedEngine(None)

    async def scenario() -> None:
        workshop = Workshop([first, ScriptedEngine("Soup")])
        async with workshop.supervisor(Policy()) as supervisor:

            async def read_twice() -> str:
                with pytest.raises(Unavailable):
                    await read_here(supervisor)
                await until(lambda: supervisor.state is EngineState.READY)
                async with asyncio.timeout(FOR_EVER):
                    return (await read_here(supervisor)).text

            twice = asyncio.create_task(read_twice())
            await until(lambda: first.at_work)
            first.is_dying = True
            assert await twice == "Soup"
            assert twice.cancelling() == 0

    asyncio.run(scenario())


def test_an_engine_that_fails_a_read_is_looked_at_without_delay() -> None:
    first, second = ScriptedEngine(Unavailable("EngineDeadError")), ScriptedEngine("Soup")
    first.is_dying = True

    async def scenario() -> None:
        workshop = Workshop([first, second])
        async with workshop.supervisor(Policy(), check_seconds=FOR_EVER) as supervisor:
            with pytest.raises(Unavailable, match="EngineDeadError"):
                await read(supervisor)
            await until(lambda: workshop.starts == 2)

    asyncio.run(scenario())


@pytest.mark.parametrize("error", [Unavailable("busy"), InvalidArgument("too long"), ZeroDivisionError()])
def test_an_engine_that_lives_is_not_restarted_for_an_error(error: Exception) -> None:
    engine = ScriptedEngine(error)

    async def scenario() -> None:
        workshop = Workshop([engine])
        async with workshop.supervisor(Policy()) as supervisor:
            with pytest.raises(type(error)):
                await read(supervisor)
            await until(lambda: engine.looks > 5)
        assert workshop.states == [EngineState.READY]

    asyncio.run(scenario())


def test_an_engine_that_makes_no_step_while_it_has_work_has_stalled() -> None:
    engine = ScriptedEngine(None)

    async def scenario() -> None:
        workshop = Workshop([engine, ScriptedEngine()])
        async with workshop.supervisor(Policy(stall_seconds=0.01)) as supervisor:
            with pytest.raises(Unavailable, match="the engine stopped"):
                await read(supervisor)
            await until(lambda: supervisor.state is EngineState.READY)
        assert workshop.restarts == [RestartReason.STALLED]
        assert engine.ends == ["killed"]

    asyncio.run(scenario())


def test_an_engine_has_stalled_though_requests_keep_coming() -> None:
    engine = ScriptedEngine(None)

    async def scenario() -> None:
        workshop = Workshop([engine, ScriptedEngine()])
        async with workshop.supervisor(Policy(stall_seconds=0.4)) as supervisor:
            reads = []
            end = time.monotonic() + 10 * 0.4
            while not workshop.restarts and time.monotonic() < end:
                reads.append(read(supervisor))
                await asyncio.sleep(0.005)
            for waiting in reads:
                waiting.cancel()
            await asyncio.gather(*reads, return_exceptions=True)
        assert workshop.restarts == [RestartReason.STALLED]

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("is_stepping", "stall_seconds", "readers"),
    [(False, 0.0, 0), (True, 0.3, 2), (False, 60.0, 2)],
    ids=["idle", "at work", "at work again after a long rest"],
)
def test_an_engine_has_not_stalled(is_stepping: bool, stall_seconds: float, readers: int) -> None:
    engine = ScriptedEngine(None)
    engine.is_stepping = is_stepping
    engine.stepped_at -= 1000

    async def scenario() -> None:
        workshop = Workshop([engine])
        async with workshop.supervisor(Policy(stall_seconds=stall_seconds)) as supervisor:
            reads = await be_busy(supervisor, engine, readers)
            looks, began = engine.looks, time.monotonic()
            await until(lambda: engine.looks > looks + 5 and time.monotonic() > began + 0.4)
            for waiting in reads:
                waiting.cancel()
        assert workshop.states == [EngineState.READY]

    asyncio.run(scenario())


def test_starts_that_fail_are_paused_after_and_given_up_after_too_many() -> None:
    async def scenario() -> None:
        first, policy = ScriptedEngine(), Policy(max_failures=3)
        workshop = Workshop([first, OSError("no memory"), OSError("no memory"), OSError("no memory")])
        async with workshop.supervisor(policy) as supervisor:
            first.is_dying = True
            await until(lambda: supervisor.state is EngineState.GAVE_UP)
            with pytest.raises(Unavailable, match="the engine has failed too often"):
                await read(supervisor)
            assert supervisor.last_step is None
        assert policy.failures == [1, 2, 3]
        assert workshop.starts == 4
        assert workshop.states == [EngineState.READY, EngineState.STARTING, EngineState.GAVE_UP]
        assert sum("no memory" in line for line in workshop.log) == 3

    asyncio.run(scenario())


def test_failures_of_long_ago_are_not_counted() -> None:
    async def scenario() -> None:
        first, policy = ScriptedEngine(), Policy(max_failures=1, failure_window_seconds=0.0)
        workshop = Workshop([first, *[OSError("no memory")] * 5, ScriptedEngine("Soup")])
        async with workshop.supervisor(policy) as supervisor:
            first.is_dying = True
            await until(lambda: workshop.states[-2:] == [EngineState.STARTING, EngineState.READY])
            assert (await read(supervisor)).text == "Soup"
        assert policy.failures == [1] * 6

    asyncio.run(scenario())


def test_reads_are_refused_until_the_engine_is_ready_again() -> None:
    async def scenario() -> None:
        first = ScriptedEngine()
        workshop = Workshop([first, ScriptedEngine("Soup")])
        async with workshop.supervisor(Policy()) as supervisor:
            assert supervisor.last_step == first.last_step
            workshop.may_start.clear()
            first.is_dying = True
            await until(lambda: workshop.restarts)
            with pytest.raises(Unavailable, match="the engine is restarting"):
                await read(supervisor)
            assert supervisor.last_step is None
            workshop.may_start.set()
            await until(lambda: supervisor.state is EngineState.READY)
            assert (await read(supervisor)).text == "Soup"

    asyncio.run(scenario())


def test_a_read_that_its_caller_cancels_is_cancelled_and_nothing_else_happens() -> None:
    async def scenario() -> None:
        engine = ScriptedEngine(None)
        workshop = Workshop([engine])
        async with workshop.supervisor(Policy()) as supervisor:
            (cancelled, other) = await be_busy(supervisor, engine, 2)
            cancelled.cancel()
            with pytest.raises(asyncio.CancelledError):
                await cancelled
            assert engine.at_work == 1
            other.cancel()
        assert workshop.states == [EngineState.READY]

    asyncio.run(scenario())


def test_an_engine_that_was_stopped_is_not_started_again() -> None:
    async def scenario() -> None:
        engine = ScriptedEngine()
        workshop = Workshop([engine, ScriptedEngine()])
        async with workshop.supervisor(Policy()):
            await until(lambda: engine.looks)
        engine.is_dying = True
        looks = engine.looks
        await asyncio.sleep(0.02)
        assert (engine.ends, engine.looks, workshop.starts) == (["stopped"], looks, 1)

    asyncio.run(scenario())


def test_stopping_ends_a_restart_that_is_pending() -> None:
    async def scenario() -> None:
        first = ScriptedEngine()
        workshop = Workshop([first, ScriptedEngine()])
        async with workshop.supervisor(Policy()):
            workshop.may_start.clear()
            first.is_dying = True
            await until(lambda: workshop.restarts)
        workshop.may_start.set()
        await asyncio.sleep(0.02)
        assert (first.ends, workshop.starts) == (["killed"], 1)

    asyncio.run(scenario())


def test_an_error_of_the_first_start_is_raised() -> None:
    async def scenario() -> None:
        workshop = Workshop([ValueError("no such checkpoint")])
        with pytest.raises(ValueError, match="no such checkpoint"):
            async with workshop.supervisor(Policy()):
                pass
        assert workshop.states == []

    asyncio.run(scenario())


def test_an_engine_trims_its_memory_when_it_has_worked_since() -> None:
    engine = ScriptedEngine("Soup")

    async def scenario() -> None:
        workshop = Workshop([engine])
        async with workshop.supervisor(Policy()) as supervisor:
            # the start was work, and since then there was none
            for _ in range(2):
                await supervisor.trim_memory()
                assert (engine.trims, workshop.trims) == (1, 1)
            await read(supervisor)
            engine.has_freed = False
            for _ in range(2):
                await supervisor.trim_memory()
                assert (engine.trims, workshop.trims) == (2, 1)

    asyncio.run(scenario())


def test_an_engine_that_reads_all_the_while_trims_its_memory_each_time() -> None:
    engine = ScriptedEngine(None)

    async def scenario() -> None:
        async with Workshop([engine]).supervisor(Policy()) as supervisor:
            (reading,) = await be_busy(supervisor, engine, 1)
            for number in (1, 2, 3):
                await supervisor.trim_memory()
                assert engine.trims == number
            reading.cancel()

    asyncio.run(scenario())


def test_memory_is_returned_by_the_engine_that_is_there() -> None:
    first, second = ScriptedEngine(), ScriptedEngine()

    async def scenario() -> None:
        workshop = Workshop([first, second])
        async with workshop.supervisor(Policy()) as supervisor:
            await supervisor.trim_memory()
            assert (first.trims, second.trims) == (1, 0)
            workshop.may_start.clear()
            first.is_dying = True
            await until(lambda: supervisor.state is EngineState.STARTING)
            await supervisor.trim_memory()
            assert (first.trims, second.trims) == (1, 0)
            workshop.may_start.set()
            await until(lambda: supervisor.state is EngineState.READY)
            await supervisor.trim_memory()
            assert (first.trims, second.trims) == (1, 1)

    asyncio.run(scenario())


def test_an_engine_that_cannot_return_memory_is_asked_once_and_goes_on() -> None:
    engine = ScriptedEngine("Soup")
    engine.keeps = AttributeError("no such method")

    async def scenario() -> None:
        workshop = Workshop([engine])
        async with workshop.supervisor(Policy()) as supervisor:
            for _ in range(2):
                await supervisor.trim_memory()
                assert engine.trims == 1
                assert (await read(supervisor)).text == "Soup"
        wanted = "the engine cannot trim its memory, and is not told to again: AttributeError('no such method')"
        assert workshop.log == [wanted]

    asyncio.run(scenario())


def test_nothing_is_said_of_the_memory_of_an_engine_that_has_died() -> None:
    engine = ScriptedEngine("Soup")
    engine.keeps = ConnectionError("gone")

    async def scenario() -> None:
        workshop = Workshop([engine])
        async with workshop.supervisor(Policy(), check_seconds=60) as supervisor:
            engine.is_dying = True
            await supervisor.trim_memory()
        assert engine.trims == 1
        assert workshop.log == []

    asyncio.run(scenario())


def test_an_engine_that_cannot_be_killed_is_replaced_all_the_same() -> None:
    class Unkillable(ScriptedEngine):
        def kill(self) -> None:
            raise OSError("not permitted")

    async def scenario() -> None:
        first = Unkillable()
        workshop = Workshop([first, ScriptedEngine()])
        async with workshop.supervisor(Policy()):
            first.is_dying = True
            async with asyncio.timeout(2):
                await until(lambda: workshop.starts == 2)

    asyncio.run(scenario())
