"""`ocrvl.vllm_plugin.scheduler` in a real engine: images that wait for others begin together."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image
from vllm.v1.engine.async_llm import AsyncLLM
from vllm.v1.metrics.loggers import StatLoggerBase

from ocrvl.engine_settings import EngineSettings
from ocrvl.imaging.decode import ImageLimits
from ocrvl.messages import PackedImage
from ocrvl.models.engine.request import unique_id
from ocrvl.models.engine.vllm_engine import VllmEngine
from ocrvl.models.preprocess.pipeline import Preprocessor
from ocrvl.options import Options
from ocrvl.vllm_plugin.scheduler import SCHEDULER
from ocrvl.wire import Task
from tests.support.images import encode
from tests.support.starting import one_at_a_time

LINE = (6, 156, 180, 190)
"""Where the receipt says "Soup of the day"; machines with a GPU may have no fonts to draw it with."""


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
    texts = [(await engine.read(image, plain, unique_id())).text for _ in range(4)]
    long = await begin_long_text(engine, image)
    before = len(steps.prompts)
    waiting = []
    for _ in range(3):
        waiting.append(asyncio.create_task(engine.read(image, plain, unique_id())))
        await asyncio.sleep(0.3)
    meanwhile = steps.prompts[before:]
    long.cancel()
    texts += [reading.text for reading in await asyncio.gather(*waiting)]
    return {"texts": texts, "one": steps.prompts[0], "meanwhile": meanwhile, "afterwards": steps.prompts[before:]}


async def read_more_than_fit(engine: VllmEngine, image: PackedImage, steps: Steps) -> dict[str, Any]:
    """Six readings at once, of which one in two ends early, while a long text takes one of three places."""
    for _ in range(4):
        await engine.read(image, Options(), unique_id())
    long = await begin_long_text(engine, image)
    before = len(steps.prompts)
    lengths = [2, 5] * 3
    readings = await asyncio.gather(*(engine.read(image, Options(max_tokens=n), unique_id()) for n in lengths))
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
    task = asyncio.create_task(engine.read(image, options, unique_id(), on_text=lambda _text: began.set()))
    await began.wait()
    return task


SCENARIOS = {scenario.__name__: scenario for scenario in (read_apart, read_more_than_fit)}


def report_scenario(scenario: str, model: str, report: str) -> None:
    """Write what a scenario has seen in an engine with these settings to a file, since vLLM prints."""
    steps = Steps()
    AsyncLLM.from_engine_args = steps.watched(AsyncLLM.from_engine_args)
    settings = EngineSettings.from_file(Path(model))
    line = encode(Image.open("docs/images/receipt.png").crop(LINE))
    packed = Preprocessor(settings.grid, ImageLimits()).preprocess([line], [Task.OCR], Options())
    with one_at_a_time():
        engine = VllmEngine.start(settings)
    try:
        with asyncio.Runner() as runner:
            seen = runner.run(SCENARIOS[scenario](engine, next(packed.images()), steps))
        Path(report).write_text(json.dumps(seen), "utf-8")
    finally:
        engine.stop()


def run_scenario(scenario: str, folder: Path, **arguments: Any) -> dict[str, Any]:
    """What a scenario has seen, in a process of its own, whose environment and metrics are the engine's afterwards."""
    path, report = folder / "model.json", folder / "report.json"
    common = {"model": "nano", "enforce_eager": True, "max_model_len": 4096, "scheduler_cls": SCHEDULER}
    path.write_text(json.dumps(common | arguments), "utf-8")
    code = "import sys; from tests.integration.unshared.test_gathering import report_scenario as r; r(*sys.argv[1:])"
    command = [sys.executable, "-c", code, scenario, str(path), str(report)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=280)
    assert done.returncode == 0, done.stderr
    seen: dict[str, Any] = json.loads(report.read_text("utf-8"))
    return seen


def test_images_that_come_apart_begin_together_and_read_the_same(tmp_path: Path) -> None:
    gather = {"seconds": 30, "tokens": 10_000}
    seen = run_scenario("read_apart", tmp_path, additional_config={"gather": gather})
    assert seen["texts"] == ["Soup of the day"] * 7
    assert seen["meanwhile"] == []
    # nothing waits any longer than texts are in progress
    assert seen["afterwards"] == [3 * seen["one"]]


def test_images_begin_together_though_more_wait_than_fit(tmp_path: Path) -> None:
    # a sequence that ends waits for the next, since two prompts, of 30 tokens each, are worth a step
    gather = {"seconds": 30, "tokens": 50}
    seen = run_scenario("read_more_than_fit", tmp_path, max_num_seqs=3, additional_config={"gather": gather})
    assert (seen["lengths"], seen["is_over"]) == ([2, 5] * 3, False)
    assert seen["afterwards"] == [2 * seen["one"]] * 3
