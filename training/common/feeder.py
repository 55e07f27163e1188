"""Worker processes that draw batches into shared memory, ahead of the training step."""

from __future__ import annotations

import mmap
import multiprocessing
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.queues import SimpleQueue
from multiprocessing.sharedctypes import Synchronized
from random import Random
from typing import Protocol

import torch

from training.common.batches import Batch, buffer_bytes
from training.common.tables import Shape


class Drawer(Protocol):
    """Draws batches, in one process."""

    def pick(self, progress: float) -> Shape:
        """The next batch's shape, one of the source's, at this part of the training, 0 to 1."""

    def fill(self, batch: Batch, shape: Shape, progress: float) -> None:
        """Draw a whole batch into its arrays."""


class Source(Protocol):
    """A world that batches are drawn from: its shapes, the slots of its cells."""

    @property
    def shapes(self) -> Sequence[Shape]:
        """Every shape that a drawer may pick."""

    @property
    def slots(self) -> Sequence[int]:
        """What `Batch.cells` has for a cell."""

    def drawer(self, seed: str) -> Drawer:
        """What draws in one worker; all follows from the seed."""


@dataclass
class _Drawn:
    """A filled slot and how often it has been given out."""

    slot: int
    shape: Shape
    uses: int = 0


class Feeder:
    """Keeps batches ready; each is given out up to `reuse` times before a new one replaces it.

    Create it before CUDA is used: workers are forked. `batch_tokens` as in `Shape.batch_size`.
    """

    def __init__(
        self,
        source: Source,
        seed: str,
        workers: int,
        slots: int,
        batch_tokens: int,
        reuse: int,
        progress: float = 0.0,
    ) -> None:
        context = multiprocessing.get_context("fork")
        self.source, self.batch_tokens, self.reuse = source, batch_tokens, reuse
        self.slot_bytes = max(
            buffer_bytes(shape, shape.batch_size(batch_tokens), source.slots) for shape in source.shapes
        )
        self.memory = mmap.mmap(-1, self.slot_bytes * slots)
        self.drawn = 0
        self._rng = Random(seed)
        self._pool: list[_Drawn] = []
        self._room = max(1, slots * 2 // 3)
        self._free: SimpleQueue[int] = context.SimpleQueue()
        self._ready: SimpleQueue[tuple[int, int]] = context.SimpleQueue()
        self._progress: Synchronized[float] = context.Value("d", progress)
        for slot in range(slots):
            self._free.put(slot)
        self._processes = [
            context.Process(target=self._work, args=(f"{seed}/{worker}",), daemon=True) for worker in range(workers)
        ]
        for process in self._processes:
            process.start()

    def set_progress(self, progress: float) -> None:
        """Tell the workers how far the training is, 0 to 1."""
        self._progress.value = progress

    def take(self) -> tuple[Shape, Batch, list[int]]:
        """A batch, and the slots to `release` once this and all earlier batches have been read.

        The least used batches go first. Used ones are kept as long as there is room: they bridge the time when
        drawing is slower than training.
        """
        while not self._ready.empty() or not self._pool:
            slot, place = self._ready.get()
            self._pool.append(_Drawn(slot, self.source.shapes[place]))
            self.drawn += 1
        fewest = min(drawn.uses for drawn in self._pool)
        drawn = self._rng.choice([drawn for drawn in self._pool if drawn.uses == fewest])
        drawn.uses += 1
        self._pool.sort(key=lambda held: held.uses)
        released = []
        while self._pool and (len(self._pool) > self._room or self._pool[-1].uses >= self.reuse):
            released.append(self._pool.pop().slot)
        return drawn.shape, self._batch(drawn.slot, drawn.shape), released

    def release(self, slot: int) -> None:
        """Let a worker fill the slot anew."""
        self._free.put(slot)

    def stop(self) -> None:
        """End the workers."""
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.join()

    def _batch(self, slot: int, shape: Shape) -> Batch:
        start = slot * self.slot_bytes
        buffer = memoryview(self.memory)[start : start + self.slot_bytes]
        return Batch.in_buffer(shape, shape.batch_size(self.batch_tokens), self.source.slots, buffer)

    def _work(self, seed: str) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        torch.set_num_threads(1)
        drawer = self.source.drawer(seed)
        while True:
            slot = self._free.get()
            progress = self._progress.value
            shape = drawer.pick(progress)
            drawer.fill(self._batch(slot, shape), shape, progress)
            self._ready.put((slot, list(self.source.shapes).index(shape)))
