"""`python -m perf bench`: start systems that serve the same model, measure them in turn, print what came out."""

from __future__ import annotations

import dataclasses
import json
import os
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack
from itertools import zip_longest
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

from perf.bench import report
from perf.bench.cores import pin_threads, share_cores
from perf.bench.measure import Sample, peak_memory, take_in_turn, take_sample
from perf.bench.open import OPEN, Images
from perf.bench.report import BESIDE
from perf.bench.systems import System
from perf.bench.workload import NANO, THIN, TOKENS, Benchmark, Size, SystemName, draw_images
from perf.figures.new import Output, Save, keep

_BENCHMARKS: Final = {benchmark.name: benchmark for benchmark in (NANO, THIN, TOKENS)}
_USUAL: Final = [NANO.name, THIN.name]
_IN_FLIGHT: Final = 32
_SECONDS: Final = 2.0
"""That one measurement of images in flight should take: its beginning and its end, when fewer are in flight, count
the less the longer it is. On slow cores the fewest that a benchmark sends take longer already."""
_console = Console(highlight=False, width=140)


def main(
    benchmark: Annotated[list[str], typer.Option(help="nano, thin or tokens; nano and thin if not given.")] = _USUAL,
    systems: Annotated[
        str | None, typer.Option(help=f"Some of {','.join(SystemName)}; all that a benchmark has.")
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Interleaved measurements of each.")] = 10,
    samples: Annotated[Path | None, typer.Option(help="A JSON file for the single measurements.")] = None,
    save: Save = False,
    output: Output = None,
) -> None:
    """Compare systems that serve the same model, on the same images with the same engine settings."""
    if unknown := [name for name in benchmark if name not in _BENCHMARKS]:
        raise typer.BadParameter(f"expected {', '.join(_BENCHMARKS)}, found {unknown[0]!r}", param_hint="--benchmark")
    if output and len(benchmark) > 1:
        raise typer.BadParameter("expected one --benchmark: a file is of one", param_hint="--output")
    results = {}
    images = draw_images()
    for name in benchmark:
        chosen = _BENCHMARKS[name]
        names = [SystemName(one) for one in systems.split(",")] if systems else chosen.systems
        taken, beside, peaks = _run(chosen, names, images, rounds)
        results[name] = [dataclasses.asdict(sample) for sample in taken + beside]
        keep(
            f"cpu-{name}",
            report.to_figures(chosen, taken, peaks, rounds),
            _console,
            save_them=save,
            output=output,
        )
        if beside:
            keep("one-at-a-time", report.compare_latencies(beside, rounds), _console, save_them=save)
    if samples:
        samples.write_text(json.dumps(results), "utf-8")


def _run(
    benchmark: Benchmark, names: Sequence[SystemName], images: Images, rounds: int
) -> tuple[list[Sample], list[Sample], dict[SystemName, int]]:
    """All samples, those beside one at a time, and the peaks of memory in bytes."""
    began = time.monotonic()
    with ExitStack() as stack:
        # the systems of the next benchmark start on all cores again
        stack.callback(pin_threads, os.getpid(), *os.sched_getaffinity(0))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ocrvl-bench-")))
        checkpoint = benchmark.write_checkpoint(folder / "checkpoint")

        # two at a time, as there are two cores; with three, Triton 2.51 took a model's process for dead
        pool = stack.enter_context(ThreadPoolExecutor(2, "starts and stops"))

        opened = {name: ExitStack() for name in names}

        def start(name: SystemName) -> System:
            system = opened[name].enter_context(OPEN[name](benchmark, checkpoint, images, folder / name))
            _console.print(f"{name.label}: started, {time.monotonic() - began:.0f} s")
            return system

        starts = {name: pool.submit(start, name) for name in names}

        def stop() -> None:
            # what is still starting when another has failed is stopped as well
            wait(starts.values())
            list(pool.map(ExitStack.close, opened.values()))

        stack.callback(stop)
        running = {name: started.result() for name, started in starts.items()}
        share_cores(list(running.values()))
        samples, beside = _measure(benchmark, list(running.values()), rounds)
        peaks = {name: peak_memory(system) for name, system in running.items()}
    _console.print(f"\n{benchmark.name}: {benchmark.description}", style="bold")
    for size in benchmark.in_flight:
        for name in names:
            if taken := report.of(samples, name, size, many=True):
                _print_processes(taken, f"{name.label}, a {size}", per_token=benchmark is TOKENS)
    _console.print(f"{time.monotonic() - began:.0f} s in all")
    return samples, beside, peaks


def _print_processes(samples: Sequence[Sample], title: str, *, per_token: bool) -> None:
    _console.print(f"processor, {title}, ms: {_list(report.by_process(samples))}")
    if per_token:
        _console.print(f"processor, {title}, µs a token: {_list(report.by_process(samples, tokens=True))}")


def _list(costs: Mapping[str, float]) -> str:
    return ", ".join(f"{process} {cost:.1f}" for process, cost in costs.items() if cost >= 0.1)


def _measure(benchmark: Benchmark, systems: Sequence[System], rounds: int) -> tuple[list[Sample], list[Sample]]:
    by_name = {system.name: system for system in systems}
    many = [system for system in systems if system.name is not SystemName.ONE_AT_A_TIME]
    # connections, memory and kernels are there afterwards, and ours has not been warmed at its start
    counts = {size: _choose_count(many, size, *bounds) for size, bounds in benchmark.in_flight.items()}
    if SystemName.ONE_AT_A_TIME in by_name:
        take_sample(by_name[SystemName.ONE_AT_A_TIME], Size.LINE, 0, count=2, in_flight=2)
    together = take_in_turn(many, [*benchmark.in_flight], rounds, counts, _IN_FLIGHT)
    # of latencies the figures have medians without intervals, so they are taken in fewer rounds
    alone = take_in_turn(many, [*benchmark.alone], (rounds + 2) // 3, benchmark.alone, 1)
    samples = [sample for pair in zip_longest(together, alone) for sample in pair if sample]
    beside = []
    loads = (
        (SystemName.ONE_AT_A_TIME, BESIDE),
        (SystemName.OURS, BESIDE),
        (SystemName.OURS, 3 * BESIDE),
    )
    for number in range((rounds + 1) // 2 if {SystemName.ONE_AT_A_TIME, SystemName.OURS} <= by_name.keys() else 0):
        for name, in_flight in loads:
            beside.append(take_sample(by_name[name], Size.LINE, number, count=in_flight, in_flight=in_flight))
    return samples, beside


def _choose_count(systems: Sequence[System], size: Size, least: int, most: int) -> int:
    """How many images one measurement sends: what these systems read in its time on this machine, within bounds."""
    rates = [take_sample(system, size, 0, count=least, in_flight=_IN_FLIGHT).images_per_second for system in systems]
    return min(max(least, round(_SECONDS * statistics.median(rates))), most)


if __name__ == "__main__":
    typer.run(main)
