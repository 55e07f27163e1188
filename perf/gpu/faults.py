"""What the server does when its engine is killed under load, and what it says when memory does not suffice.

`kill` ends the engine's process with SIGKILL while requests are in flight and times how long it takes until a request
that was sent afterwards is answered. The other cases start servers that cannot start, and note the message that an
operator gets.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import AsyncExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final

import psutil
import typer
from rich.console import Console

from ocrvl.launcher.server import ServerFailed
from perf.figures.data import Value
from perf.figures.new import Output, keep
from perf.gpu.fault_figures import to_figures
from perf.gpu.load import RunningSystem, Send
from perf.gpu.sizes import IMAGES, SIZES, draw_images
from perf.gpu.systems import open_system, prepare_server
from perf.gpu.usage import GpuWatch, role_of
from perf.gpu.variants import System, Variant, write_settings, write_weights
from perf.harness.server import start_server

_BEFORE_SECONDS: Final = 5.0
_GIVE_UP_SECONDS: Final = 240.0
_OTHERS_GIB: Final = 16
_ERRORS_SHOWN: Final = 5
_PUBLISHED_SECONDS: Final = 3.0
"""After which what an engine had read before it was killed stands in the server's metrics."""


@dataclass(frozen=True)
class Case:
    """A server that cannot start: its engine's own arguments, GiB that another process holds, its environment."""

    name: str
    overrides: dict[str, Any]
    others_gib: int = 0
    environment: dict[str, str] = field(default_factory=dict)


_CASES: Final = (
    Case("no memory for the cache", {"gpu_memory_utilization": 0.03, "kv_cache_memory_bytes": None}),
    Case("cache larger than the GPU", {"kv_cache_memory_bytes": 200 << 30}),
    Case("GPU shared", {"gpu_memory_utilization": 0.95, "kv_cache_memory_bytes": None}, others_gib=_OTHERS_GIB),
)
_TINY_CASES: Final = (Case("cache larger than memory", {}, environment={"VLLM_CPU_KVCACHE_SPACE": "100000"}),)


def main(
    cases: Annotated[str, typer.Option(help="kill, start.")] = "kill,start",
    in_flight: Annotated[int, typer.Option(help="Requests in flight while the engine is killed.")] = 32,
    gpus: Annotated[int, typer.Option(help="GPUs; `kill` ends one engine of theirs.")] = 1,
    engines: Annotated[int, typer.Option(help="Engines on each of them.")] = 1,
    tiny: Annotated[bool, typer.Option(help="A tiny model, to try the script on a CPU.")] = False,
    output: Output = None,
) -> None:
    """Cause faults, one after the other."""
    faults: list[Callable[[], dict[str, Value]]] = []
    if "kill" in cases.split(","):
        faults.append(lambda: asyncio.run(_kill(in_flight, gpus, engines, tiny=tiny)))
    if "start" in cases.split(","):
        faults += [partial(_start, case, tiny=tiny) for case in (_TINY_CASES if tiny else _CASES)]
    console, records = Console(width=140), []
    for fault in faults:
        records.append(fault())
        # at once, since the next one may hang
        console.print(records[-1], markup=False)
    keep("faults", to_figures(records), console, output=output)


@dataclass
class _Outcomes:
    """What became of requests: when they were sent and when they ended, and the errors of those that failed."""

    answered: list[tuple[float, float]] = field(default_factory=list)
    failed: list[tuple[float, float, str]] = field(default_factory=list)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def wait_for_answer_to(self, since: float) -> None:
        """Wait until a request that was sent later than this is answered."""
        async with self.changed:
            await self.changed.wait_for(lambda: _answered_after(self, since))


async def _kill(in_flight: int, gpus: int, engines_each: int, *, tiny: bool) -> dict[str, Value]:
    outcomes, done = _Outcomes(), asyncio.Event()
    variant = Variant(System.SERVED, {"gpus": gpus, "engines": engines_each})
    with tempfile.TemporaryDirectory(prefix="ocrvl-faults-") as name, GpuWatch() as watch:
        async with AsyncExitStack() as stack:
            settings = write_settings(variant, Path(name), tiny=tiny)
            write_weights(settings)
            system = await open_system(variant, settings, stack)
            tokens = 4 if tiny else SIZES["receipt"].tokens
            send = system.prepare(draw_images(SIZES["receipt"]), [tokens] * IMAGES)
            await asyncio.gather(*(send(number, False) for number in range(in_flight)))
            workers = [asyncio.create_task(_send_on(send, number, outcomes, done)) for number in range(in_flight)]
            await asyncio.sleep(_BEFORE_SECONDS)
            killed = time.monotonic()
            engines = [p for p in psutil.Process().children(recursive=True) if role_of(p.cmdline()) == "EngineCore"]
            engines[0].kill()
            back = None
            with suppress(TimeoutError):
                async with asyncio.timeout(_GIVE_UP_SECONDS):
                    await outcomes.wait_for_answer_to(killed)
                    await _wait_until_all_read(system)
                    back = time.monotonic() - killed
            await asyncio.sleep(_BEFORE_SECONDS)
            done.set()
            await asyncio.gather(*workers)
            ended = time.monotonic()
    lost = [end - killed for sent, end, _ in outcomes.failed if sent < killed < end]
    memory = {
        "before": watch.between(killed - _BEFORE_SECONDS, killed, gpus),
        # before the next engine's process has come as far as the GPU
        "after": watch.between(killed + 1, killed + 3, gpus),
        "at_the_end": watch.between(ended - 2, ended, gpus),
    }
    return {
        "engines": f"one of {len(engines)}",
        "in_flight": in_flight,
        "failed": len(lost),
        "told_within_seconds": max(lost, default=None),
        "answers_after_seconds": min(_answered_after(outcomes, killed), default=None),
        "read_again_seconds": back,
        "before_per_second": _rate(outcomes, killed - _BEFORE_SECONDS, killed),
        "meanwhile_per_second": _rate(outcomes, killed, killed + back) if back else None,
        "after_per_second": _rate(outcomes, killed + back, killed + back + _BEFORE_SECONDS) if back else None,
        **{f"gpu_mib_{when}": use.memory_mib if use else None for when, use in memory.items()},
        "errors": _count(error for *_, error in outcomes.failed),
    }


def _count(errors: Iterable[str]) -> str:
    return "; ".join(f"{count} times {error}" for error, count in Counter(errors).most_common(_ERRORS_SHOWN))


async def _wait_until_all_read(system: RunningSystem) -> None:
    """Wait until every engine has read images that it had not read when the one was killed."""
    await asyncio.sleep(_PUBLISHED_SECONDS)
    before = (await asyncio.to_thread(system.totals)).images
    while True:
        await asyncio.sleep(0.5)
        now = (await asyncio.to_thread(system.totals)).images
        if now and all(count > before.get(engine, 0.0) for engine, count in now.items()):
            return


def _rate(outcomes: _Outcomes, began: float, ended: float) -> float:
    return sum(began < end <= ended for _, end in outcomes.answered) / (ended - began)


def _answered_after(outcomes: _Outcomes, killed: float) -> list[float]:
    """Seconds after the kill at which requests were answered that had been sent later than it."""
    return [end - killed for sent, end in outcomes.answered if sent > killed]


async def _send_on(send: Send, number: int, outcomes: _Outcomes, done: asyncio.Event) -> None:
    while not done.is_set():
        sent = time.monotonic()
        try:
            await send(number, False)
        except Exception as error:
            outcomes.failed.append((sent, time.monotonic(), str(error)[:200]))
            await asyncio.sleep(0.2)
        else:
            outcomes.answered.append((sent, time.monotonic()))
            async with outcomes.changed:
                outcomes.changed.notify_all()


def _start(case: Case, *, tiny: bool) -> dict[str, Value]:
    began = time.monotonic()
    holding = _held_memory(case.others_gib) if case.others_gib else nullcontext()
    with tempfile.TemporaryDirectory(prefix="ocrvl-faults-") as name, holding:
        variant = Variant(System.SERVED, case.overrides)
        settings = write_settings(variant, Path(name), tiny=tiny)
        write_weights(settings)
        message = "it started"
        try:
            with start_server(prepare_server(variant, settings, case.environment)):
                pass
        except ServerFailed as error:
            message = str(error)
    return {"case": case.name, "seconds": time.monotonic() - began, "message": " ".join(message.split())}


@contextmanager
def _held_memory(gib: int) -> Iterator[None]:
    """Another process that has this much of the GPU's memory."""
    code = f"import torch; held = torch.empty({gib} << 30, dtype=torch.uint8, device='cuda'); print('held'); input()"
    other = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # noqa: S603
    try:
        assert other.stdout is not None
        other.stdout.readline()
        yield
    finally:
        other.kill()
        other.wait()


if __name__ == "__main__":
    typer.run(main)
