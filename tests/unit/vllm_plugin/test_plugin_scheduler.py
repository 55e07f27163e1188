"""`ocrvl.vllm_plugin.scheduler`: which images wait for others, and that an engine begins those together."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest
import vllm.v1.core.sched.scheduler as vllm_scheduler
from vllm.v1.core.sched.async_scheduler import AsyncScheduler
from vllm.v1.core.sched.scheduler import Scheduler
from vllm.v1.engine.async_llm import AsyncLLM
from vllm.v1.metrics.loggers import StatLoggerBase

from ocrvl.engine_settings import EngineSettings
from ocrvl.imaging.decode import ImageLimits
from ocrvl.messages import PackedImage
from ocrvl.models.engine.serve import Job
from ocrvl.models.engine.vllm_engine import VllmEngine
from ocrvl.models.preprocess.pipeline import Preprocessor
from ocrvl.options import Options
from ocrvl.vllm_plugin.scheduler import SCHEDULER, Gathering, GatherSettings, can_hold, make_scheduler
from ocrvl.wire import Task
from training.nano.world import World

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
def test_the_installed_vllm_s_steps_can_be_told_to_begin_nothing(own: type) -> None:
    assert can_hold(own)


def test_a_vllm_that_can_not_hold_has_its_own_scheduler_and_that_is_said(
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


class Steps:
    """Prompts that vLLM began in each of its steps, by their tokens; `watched` makes its engine tell of them."""

    def __init__(self) -> None:
        self.prompts: list[int] = []

    def watched(self, start: Callable[..., AsyncLLM]) -> Callable[..., AsyncLLM]:
        def start_watched(*args: Any, stat_loggers: list[Any], **kwargs: Any) -> AsyncLLM:
            return start(*args, stat_loggers=[*stat_loggers, self._logger], **kwargs)

        return start_watched

    def _logger(self, *_: Any, **__: Any) -> Any:
        steps = self

        class Logger(StatLoggerBase):  # type: ignore[misc, unused-ignore]
            def __init__(self) -> None:
                """Keeps nothing of an engine's configuration."""

            def record(self, scheduler_stats: Any, iteration_stats: Any, *_: Any, **__: Any) -> None:
                if iteration_stats and iteration_stats.num_prompt_tokens:
                    steps.prompts.append(iteration_stats.num_prompt_tokens)

            def log_engine_initialized(self) -> None:
                """Nothing to say."""

        return Logger()


async def read_apart(engine: VllmEngine, image: PackedImage, steps: Steps) -> dict[str, Any]:
    """Three readings that begin apart while a long text is generated, which ends before their time is over."""
    plain = Options()
    texts = [(await engine.read(image, Job.begin(plain))).text for _ in range(4)]
    long = await begin_long_text(engine, image)
    before = len(steps.prompts)
    waiting = []
    for _ in range(3):
        waiting.append(asyncio.create_task(engine.read(image, Job.begin(plain))))
        await asyncio.sleep(0.3)
    meanwhile = steps.prompts[before:]
    long.cancel()
    texts += [reading.text for reading in await asyncio.gather(*waiting)]
    return {"texts": texts, "one": steps.prompts[0], "meanwhile": meanwhile, "afterwards": steps.prompts[before:]}


async def read_more_than_fit(engine: VllmEngine, image: PackedImage, steps: Steps) -> dict[str, Any]:
    """Six readings at once, of which one in two ends early, while a long text takes one of three places."""
    for _ in range(4):
        await engine.read(image, Job.begin(Options()))
    long = await begin_long_text(engine, image)
    before = len(steps.prompts)
    lengths = [2, 5] * 3
    readings = await asyncio.gather(*(engine.read(image, Job.begin(Options(max_tokens=n))) for n in lengths))
    is_over = long.done()
    long.cancel()
    return {
        "lengths": [reading.num_output_tokens for reading in readings],
        "is_over": is_over,
        "one": steps.prompts[0],
        "afterwards": steps.prompts[before:],
    }


async def begin_long_text(engine: VllmEngine, image: PackedImage) -> asyncio.Task[Any]:
    options = Options(max_tokens=2000, stop_repetition=False, raw=True, regex="[a-z]{2000}")
    began = asyncio.Event()
    task = asyncio.create_task(engine.read(image, Job.begin(options), lambda _text: began.set()))
    await began.wait()
    return task


SCENES = {scene.__name__: scene for scene in (read_apart, read_more_than_fit)}


def report_scene(scene: str, model: str, report: str) -> None:
    """Write what a scene has seen in an engine with these settings to a file, since vLLM prints."""
    steps = Steps()
    AsyncLLM.from_engine_args = steps.watched(AsyncLLM.from_engine_args)
    settings = EngineSettings.from_file(Path(model))
    line = World(Random(7)).line("Soup of the day").png()
    packed = Preprocessor(settings.grid, ImageLimits()).preprocess([line], [Task.OCR], Options())
    engine = VllmEngine.start(settings)
    try:
        with asyncio.Runner() as runner:
            seen = runner.run(SCENES[scene](engine, next(packed.images()), steps))
        Path(report).write_text(json.dumps(seen), "utf-8")
    finally:
        engine.stop()


def run_scene(scene: str, folder: Path, **arguments: Any) -> dict[str, Any]:
    """What a scene has seen, in a process of its own, whose environment and metrics are the engine's afterwards."""
    path, report = folder / "model.json", folder / "report.json"
    common = {"model": "nano", "enforce_eager": True, "max_model_len": 4096, "scheduler_cls": SCHEDULER}
    path.write_text(json.dumps(common | arguments), "utf-8")
    code = "import sys; from tests.unit.vllm_plugin.test_plugin_scheduler import report_scene as r; r(*sys.argv[1:])"
    command = [sys.executable, "-c", code, scene, str(path), str(report)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    seen: dict[str, Any] = json.loads(report.read_text("utf-8"))
    return seen


def test_images_that_come_apart_begin_together_and_read_the_same(tmp_path: Path) -> None:
    gather = {"seconds": 30, "tokens": 10_000}
    seen = run_scene("read_apart", tmp_path, additional_config={"gather": gather})
    assert seen["texts"] == ["Soup of the day"] * 7
    assert seen["meanwhile"] == []
    # nothing waits any longer than texts are in progress
    assert seen["afterwards"] == [3 * seen["one"]]


def test_images_begin_together_though_more_wait_than_there_are_places_for(tmp_path: Path) -> None:
    # a place that becomes free waits for the next, since two prompts, of 30 tokens each, are worth a step
    gather = {"seconds": 30, "tokens": 50}
    seen = run_scene("read_more_than_fit", tmp_path, max_num_seqs=3, additional_config={"gather": gather})
    assert (seen["lengths"], seen["is_over"]) == ([2, 5] * 3, False)
    assert seen["afterwards"] == [2 * seen["one"]] * 3
