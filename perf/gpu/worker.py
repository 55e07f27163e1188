"""A variant in a process of its own, which starts it, sends requests and answers with measurements.

So each variant has a load generator of its own, and what one leaves behind is not the next one's.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import time
import traceback
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path

from perf.gpu.load import Load, Measurement, PrepareSize, Send, run_load
from perf.gpu.sizes import SIZES, draw_images
from perf.gpu.variants import Variant


class VariantFailed(Exception):
    """A variant did not start or did not answer; the message is its traceback."""


@dataclass(frozen=True)
class _Failure:
    trace: str


class Worker:
    """A variant's process. Its output, vLLM's and Triton's logs with it, goes to `log`."""

    def __init__(self, variant: Variant, settings: Path, log: Path) -> None:
        self.variant = variant
        self.log = log
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_work, args=(variant, settings, log, theirs))
        self._process.start()
        theirs.close()

    @property
    def pid(self) -> int:
        """The process's id."""
        assert self._process.pid is not None
        return self._process.pid

    def wait_until_ready(self) -> float:
        """Seconds that the start took. Raises `VariantFailed`."""
        seconds = self._receive()
        assert isinstance(seconds, float)
        return seconds

    def measure(self, load: Load) -> Measurement:
        """Run a load. Raises `VariantFailed`."""
        self._connection.send(load)
        measurement = self._receive()
        assert isinstance(measurement, Measurement)
        return measurement

    def begin_stop(self) -> None:
        """Let the variant end; returns at once."""
        self._connection.close()

    def stop(self, within: float = 90.0) -> None:
        """End the variant and wait until it is gone."""
        self.begin_stop()
        self._process.join(within)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()

    def _receive(self) -> object:
        try:
            answer = self._connection.recv()
        except EOFError:
            raise VariantFailed(f"{self.variant.name}: its process has ended, see {self.log}") from None
        if isinstance(answer, _Failure):
            raise VariantFailed(f"{self.variant.name}, see {self.log}:\n{answer.trace}")
        return answer


def _work(variant: Variant, settings: Path, log: Path, connection: Connection) -> None:
    # file descriptors, since the processes below write there too
    with log.open("wb", buffering=0) as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    try:
        asyncio.run(_answer(variant, settings, connection))
    except Exception:
        connection.send(_Failure(traceback.format_exc()))


async def _answer(variant: Variant, settings: Path, connection: Connection) -> None:
    # here, since the module imports the engine's
    from perf.gpu.systems import open_system

    async with AsyncExitStack() as stack:
        began = time.perf_counter()
        system = await open_system(variant, settings, stack)
        connection.send(time.perf_counter() - began)
        opened: dict[tuple[str, bool], Send] = {}
        while True:
            try:
                load = await asyncio.to_thread(connection.recv)
            except EOFError:
                return
            key = (load.size, load.varied)
            if key not in opened:
                opened[key] = await asyncio.to_thread(_open, system.prepare, load)
            before = await asyncio.to_thread(system.totals)
            measurement = await run_load(opened[key], load)
            after = await asyncio.to_thread(system.totals)
            by_engine, stages = after.images_since(before), after.means_since(before)
            connection.send(replace(measurement, by_engine=by_engine, stages=stages))


def _open(prepare: PrepareSize, load: Load) -> Send:
    return prepare(draw_images(SIZES[load.size]), load.output_tokens)
