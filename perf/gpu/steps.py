"""An engine's steps: how long one takes, and for how much of it the GPU works, by torch's profiler.

Of texts that are only generated, and under loads, in which images are encoded meanwhile. Each is measured twice, since
the profiler itself takes time: a step's length without it, the GPU's work with it.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console

from perf.figures.new import Output, keep
from perf.gpu.load import Answer, Load, PrepareSize, parse_load
from perf.gpu.sizes import SIZES, draw_images
from perf.gpu.step_figures import Steps, to_figures
from perf.gpu.step_probe import PROBE
from perf.gpu.variants import Variant, parse_variant, write_settings, write_weights
from perf.harness.loops import closed_loop

_PROFILED_SECONDS: Final = 0.4
"""Some hundred steps: each has some 300 kernels, and they are read one by one."""

_SETTLE_SECONDS: Final = 2.0
_LOOK_SECONDS: Final = 0.1
_LOOKS: Final = 300
_LONGEST: Final = 4000
"""Tokens of a text that goes on for as long as its steps are measured, and is ended then."""

_FOREVER: Final = 3600.0


def main(
    variant: Annotated[str, typer.Argument(help="ready or stock, and :KEY=VALUE as for pairs.")] = "ready",
    in_flight: Annotated[str, typer.Option(help="Texts that are only generated, together.")] = "1,32,128",
    loads: Annotated[str, typer.Option(help="SIZE@IN_FLIGHT[:varied] each, as for pairs.")] = "",
    seconds: Annotated[float, typer.Option(help="Of each measurement without the profiler.")] = 1.5,
    tiny: Annotated[bool, typer.Option(help="A tiny model and few tokens, to try the script on a CPU.")] = False,
    output: Output = None,
) -> None:
    """Measure an engine's steps."""
    chosen = parse_variant(variant)
    if not chosen.system.is_engine:
        raise typer.BadParameter(f"expected ready or stock, found {chosen.system}", param_hint="VARIANT")
    longest, usual = (_LONGEST // 10, 4) if tiny else (_LONGEST, None)
    generated = [f"line@{count}" for count in in_flight.split(",") if count]
    scenarios = [_Scenario(parse_load(text, seconds=0, waves=1, tokens=longest), True) for text in generated]
    mixed = [text for text in loads.split(",") if text]
    scenarios += [_Scenario(parse_load(text, seconds=0, waves=1, tokens=usual), False) for text in mixed]
    with tempfile.TemporaryDirectory(prefix="ocrvl-steps-") as folder:
        probed = Variant(chosen.system, {**chosen.overrides, "worker_extension_cls": PROBE})
        settings = write_settings(probed, Path(folder), tiny=tiny)
        write_weights(settings)
        measured = asyncio.run(_measure(probed, settings, scenarios, seconds, has_gpu=not tiny))
    keep("steps", to_figures(measured, chosen.name), Console(width=140), output=output)


@dataclass(frozen=True)
class _Scenario:
    """A load that goes on until it is cut off."""

    load: Load
    is_generated: bool
    """Whether its texts are too long to end meanwhile, so that steps only generate."""

    @asynccontextmanager
    async def run(self, prepare: PrepareSize) -> AsyncIterator[list[float]]:
        """What the load sends is sent meanwhile; the times at which it was answered."""
        files = draw_images(SIZES[self.load.size])
        send, answered = await asyncio.to_thread(prepare, files, self.load.output_tokens), list[float]()

        async def send_and_count(number: int) -> Answer:
            answer = await send(number, False)
            answered.append(time.perf_counter())
            return answer

        running = asyncio.create_task(closed_loop(send_and_count, self.load.in_flight, seconds=_FOREVER))
        try:
            yield answered
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running


async def _measure(
    variant: Variant, settings: Path, scenarios: Sequence[_Scenario], seconds: float, *, has_gpu: bool
) -> list[Steps]:
    # here, since the module imports the engine's
    from perf.gpu.systems import open_engine

    measured = []
    async with AsyncExitStack() as stack:
        engine, prepare = await open_engine(variant, settings, stack)
        for scenario in scenarios:
            async with scenario.run(prepare) as answered:
                await _settle(engine.llm, scenario)
                began = time.perf_counter()
                plain = await _probe(engine.llm, seconds)
                images = sum(began <= at for at in answered) / (time.perf_counter() - began)
                profiled = await _probe(engine.llm, _PROFILED_SECONDS, is_profiled=True) if has_gpu else {}
            measured.append(Steps.of(scenario.load, plain, profiled, None if scenario.is_generated else images))
    return measured


async def _probe(llm: Any, seconds: float, *, is_profiled: bool = False) -> dict[str, Any]:
    await llm.collective_rpc("begin_steps", args=(is_profiled,))
    await asyncio.sleep(seconds)
    answers = await llm.collective_rpc("end_steps")
    # of several ranks the first
    return dict(answers[0])


async def _settle(llm: Any, scenario: _Scenario) -> None:
    """Until all texts are generated, where they are only that; else for a while."""
    if not scenario.is_generated:
        await asyncio.sleep(_SETTLE_SECONDS)
        return
    for _ in range(_LOOKS):
        steps = (await _probe(llm, _LOOK_SECONDS))["steps"]
        if steps and all(requests == tokens == scenario.load.in_flight for _, requests, tokens in steps):
            return
    raise RuntimeError(f"{scenario.load.in_flight} texts were never generated together, steps: {steps[-3:]}")


if __name__ == "__main__":
    typer.run(main)
