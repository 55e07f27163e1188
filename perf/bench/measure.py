"""Measurements of ways that run side by side, taken in turn."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from perf.bench.systems import Way
from perf.bench.workload import Size

ENGINE = "EngineCore"
"""The process that computes; all others are a way's front end."""


@dataclass(frozen=True)
class Sample:
    """One measurement: so many images of a size, `together` at a time.

    `latencies` are seconds; `processor` is seconds of processor time by process.
    """

    way: str
    size: Size
    round: int
    together: int
    seconds: float
    latencies: Sequence[float]
    tokens: int
    processor: Mapping[str, float]

    @property
    def images_per_second(self) -> float:
        """How many were read in a second."""
        return len(self.latencies) / self.seconds


def take_sample(way: Way, size: Size, number: int, *, count: int, together: int) -> Sample:
    """Have images read; each round begins with another image."""
    before = _processor_times(way)
    began = time.perf_counter()
    read = asyncio.run(way.read(size, count, together, number))
    seconds = time.perf_counter() - began
    spent = _processor_times(way)
    spent.subtract(before)
    latencies = [latency for latency, _ in read]
    return Sample(way.name, size, number, together, seconds, latencies, sum(tokens for _, tokens in read), dict(spent))


def take_in_turn(
    ways: Sequence[Way], sizes: Sequence[Size], rounds: int, count: Mapping[Size, int], together: int
) -> Iterator[Sample]:
    """In each round every way reads images of every size; each round begins with the next way."""
    for number in range(rounds):
        first = number % len(ways)
        for size in sizes:
            for way in [*ways[first:], *ways[:first]]:
                yield take_sample(way, size, number, count=count[size], together=together)


def pin(way: Way, *, engine: int, others: int) -> None:
    """Keep the way's engine on one core and its other processes on another, with all the threads they have."""
    processes = way.processes()
    alone = len(processes) == 1
    for name, process in processes:
        pin_threads(process.pid, engine if alone or name == ENGINE else others)


def pin_threads(pid: int, *cores: int) -> None:
    """Keep the threads of a process on these cores; those that they start later stay there as well."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(ProcessLookupError):
            os.sched_setaffinity(int(task.name), cores)


def peak_memory(way: Way) -> int:
    """The most resident memory in bytes that its processes have had, shared pages counted with each."""
    total = 0
    for _, process in way.processes():
        with contextlib.suppress(FileNotFoundError):
            status = Path(f"/proc/{process.pid}/status").read_text("ascii")
            total += next((1024 * int(line.split()[1]) for line in status.splitlines() if "VmHWM" in line), 0)
    return total


def _processor_times(way: Way) -> Counter[str]:
    times: Counter[str] = Counter()
    for name, process in way.processes():
        with contextlib.suppress(psutil.Error):
            spent = process.cpu_times()
            times[name] += spent.user + spent.system
    return times
