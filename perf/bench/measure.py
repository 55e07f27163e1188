"""Measurements of systems that run side by side, taken in turn."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from perf.bench.systems import System
from perf.bench.workload import Size, SystemName


@dataclass(frozen=True)
class Sample:
    """One measurement: so many images of a size, `in_flight` at a time.

    `latencies` are seconds; `processor` is seconds of processor time by process.
    """

    system: SystemName
    size: Size
    round: int
    in_flight: int
    seconds: float
    latencies: Sequence[float]
    tokens: int
    processor: Mapping[str, float]

    @property
    def images_per_second(self) -> float:
        """How many were read in a second."""
        return len(self.latencies) / self.seconds


def take_sample(system: System, size: Size, number: int, *, count: int, in_flight: int) -> Sample:
    """Have images read; each round begins with another image."""
    before = _processor_times(system)
    began = time.perf_counter()
    read = asyncio.run(system.read(size, count, in_flight, number))
    seconds = time.perf_counter() - began
    spent = _processor_times(system)
    spent.subtract(before)
    latencies = [latency for latency, _ in read]
    return Sample(
        system.name, size, number, in_flight, seconds, latencies, sum(tokens for _, tokens in read), dict(spent)
    )


def take_in_turn(
    systems: Sequence[System], sizes: Sequence[Size], rounds: int, count: Mapping[Size, int], in_flight: int
) -> Iterator[Sample]:
    """In each round every system reads images of every size; each round begins with the next system."""
    for number in range(rounds):
        first = number % len(systems)
        for size in sizes:
            for system in [*systems[first:], *systems[:first]]:
                yield take_sample(system, size, number, count=count[size], in_flight=in_flight)


def peak_memory(system: System) -> int:
    """The most resident memory in bytes that its processes have had, shared pages counted with each."""
    total = 0
    for _, process in system.processes():
        with contextlib.suppress(FileNotFoundError):
            status = Path(f"/proc/{process.pid}/status").read_text("ascii")
            total += next((1024 * int(line.split()[1]) for line in status.splitlines() if "VmHWM" in line), 0)
    return total


def _processor_times(system: System) -> Counter[str]:
    times: Counter[str] = Counter()
    for name, process in system.processes():
        with contextlib.suppress(psutil.Error):
            spent = process.cpu_times()
            times[name] += spent.user + spent.system
    return times
