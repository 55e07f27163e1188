"""`python -m perf.bench`: start the ways to serve, measure them in turn, print what came out."""

from __future__ import annotations

import dataclasses
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

from perf.bench import report
from perf.bench.measure import Sample, peak_memory, pin, pin_threads, take_in_turn, take_sample
from perf.bench.report import BESIDE, OURS
from perf.bench.systems import (
    ENGINE_CORE,
    OTHERS_CORE,
    Images,
    Way,
    open_alone,
    open_base64,
    open_one_at_a_time,
    open_openai,
    open_ours,
)
from perf.bench.workload import NANO, THIN, TOKENS, Size, Table, draw_images

_WAYS: Final[Mapping[str, Callable[[Table, Path, Images, Path], AbstractContextManager[Way]]]] = {
    OURS: open_ours,
    "a": open_openai,
    "b": open_alone,
    "c": partial(open_ours, stock=True),
    "d": open_one_at_a_time,
    "e": open_base64,
}
_TABLES: Final = {table.name: table for table in (NANO, THIN, TOKENS)}
_USUAL: Final = [NANO.name, THIN.name]
_IN_FLIGHT: Final = 32
_SECONDS: Final = 2.0
"""That one measurement of images in flight should take: its beginning and its end, when fewer are in flight, count
the less the longer it is. On slow cores the fewest that a table sends take longer already."""
_console = Console(highlight=False, width=140)


def main(
    table: Annotated[list[str], typer.Option(help="nano, thin or tokens; nano and thin if not given.")] = _USUAL,
    ways: Annotated[str | None, typer.Option(help="Which of ours,a,b,c,d,e; all that a table has.")] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Interleaved measurements of each.")] = 10,
    output: Annotated[Path | None, typer.Option(help="A JSON file for the single measurements.")] = None,
) -> None:
    """Compare ways to serve the same model on the same images with the same engine settings."""
    results = {}
    images = draw_images()
    for name in table:
        if name not in _TABLES:
            raise typer.BadParameter(f"{name!r}: {' or '.join(_TABLES)}")
        chosen = _TABLES[name]
        names = ways.split(",") if ways else chosen.ways
        results[name] = [dataclasses.asdict(sample) for sample in _run(chosen, names, images, rounds)]
    if output:
        output.write_text(json.dumps(results), "utf-8")


def _run(table: Table, names: Sequence[str], images: Images, rounds: int) -> list[Sample]:
    began = time.monotonic()
    with ExitStack() as stack:
        # the ways of the next table start on all cores again
        stack.callback(pin_threads, os.getpid(), *os.sched_getaffinity(0))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ocrvl-bench-")))
        checkpoint = table.write_checkpoint(folder / "checkpoint")

        # two at a time, as there are two cores; with three, Triton 2.51 took a model's process for dead
        pool = stack.enter_context(ThreadPoolExecutor(2, "starts and stops"))

        opened = {name: ExitStack() for name in names}

        def start(name: str) -> Way:
            way = opened[name].enter_context(_WAYS[name](table, checkpoint, images, folder / name))
            _console.print(f"{way.title}: started, {time.monotonic() - began:.0f} s")
            return way

        starts = {name: pool.submit(start, name) for name in names}

        def stop() -> None:
            # what is still starting when another has failed is stopped as well
            wait(starts.values())
            list(pool.map(ExitStack.close, opened.values()))

        stack.callback(stop)
        running = {name: started.result() for name, started in starts.items()}
        share_cores(list(running.values()))
        samples, beside = _measure(table, list(running.values()), rounds)
        peaks = {name: peak_memory(way) for name, way in running.items()}
    titles = {name: way.title for name, way in running.items()}
    _console.print(f"\n{table.name}: {table.says}", style="bold")
    for size in table.together:
        _console.print(report.compare_ways(samples, titles, peaks, size))
    if beside:
        _console.print(report.compare_latencies(beside, Size.LINE))
    for size in table.together:
        for name, title in titles.items():
            # one at a time is measured on lines alone, beside ours
            if taken := [s for s in samples if s.way == name and s.size is size and s.together > 1]:
                _console.print(f"processor, {title}, ms a {size}: {_list(report.by_process(taken))}")
                if table is TOKENS:
                    _console.print(f"processor, {title}, µs a token: {_list(report.by_process(taken, tokens=True))}")
    _console.print(f"{time.monotonic() - began:.0f} s in all")
    return samples + beside


def _list(costs: Mapping[str, float]) -> str:
    return ", ".join(f"{process} {cost:.1f}" for process, cost in costs.items() if cost >= 0.1)


def share_cores(ways: Sequence[Way]) -> None:
    """The engines have a core, and all that is before them, this process included, another."""
    for way in ways:
        pin(way, engine=ENGINE_CORE, others=OTHERS_CORE)
    pin_threads(os.getpid(), OTHERS_CORE)


def _measure(table: Table, ways: Sequence[Way], rounds: int) -> tuple[list[Sample], list[Sample]]:
    by_name = {way.name: way for way in ways}
    many = [way for way in ways if way.name != "d"]
    # connections, memory and kernels are there afterwards, and ours has not been warmed at its start
    counts = {size: _choose_count(many, size, *bounds) for size, bounds in table.together.items()}
    if "d" in by_name:
        take_sample(by_name["d"], Size.LINE, 0, count=2, together=2)
    together = take_in_turn(many, [*table.together], rounds, counts, _IN_FLIGHT)
    # of latencies the tables have medians without intervals, so they are taken in fewer rounds
    alone = take_in_turn(many, [*table.alone], (rounds + 2) // 3, table.alone, 1)
    samples = [sample for pair in zip_longest(together, alone) for sample in pair if sample]
    beside = []
    for number in range((rounds + 1) // 2 if {"d", OURS} <= by_name.keys() else 0):
        for name, in_flight in (("d", BESIDE), (OURS, BESIDE), (OURS, 3 * BESIDE)):
            beside.append(take_sample(by_name[name], Size.LINE, number, count=in_flight, together=in_flight))
    return samples, beside


def _choose_count(ways: Sequence[Way], size: Size, least: int, most: int) -> int:
    """How many images one measurement sends: what these ways read in its time on this machine, within bounds."""
    rates = [take_sample(way, size, 0, count=least, together=_IN_FLIGHT).images_per_second for way in ways]
    return min(max(least, round(_SECONDS * statistics.median(rates))), most)


if __name__ == "__main__":
    typer.run(main)
