"""Processes that draw receipts ahead of the training step, in batches of windows of like length."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Iterator, Sequence
from queue import Full
from random import Random
from typing import Any, Final

import torch

from training.fields.samples import Sample, draw_sample
from training.fields.world import ReceiptWorld
from training.nano.texts import Split

_BATCHES: Final = 4
"""Drawn together and sorted by length, so that little of a batch is padding."""

_LOOK_SECONDS: Final = 5.0

_AHEAD: Final = 6
"""Batches that wait for each process."""


def draw_batches(rng: Random, words: Sequence[str], tokenizer: Any, batch: int) -> Iterator[list[Sample]]:
    """Batches without end."""
    world = ReceiptWorld(rng, words, Split.TRAINING)
    while True:
        samples = [draw_sample(rng, world.receipt(), tokenizer) for _ in range(_BATCHES * batch)]
        samples.sort(key=lambda sample: len(sample.ids))
        parts = [samples[start : start + batch] for start in range(0, len(samples), batch)]
        rng.shuffle(parts)
        yield from parts


class Feeder:
    """Keeps batches ready."""

    def __init__(self, words: Sequence[str], tokenizer: Any, seed: str, workers: int, batch: int) -> None:
        context = multiprocessing.get_context("fork")
        self._ready: Any = context.Queue(_AHEAD * workers)
        self._processes = [
            context.Process(target=self._work, args=(words, tokenizer, f"{seed}/{worker}", batch), daemon=True)
            for worker in range(workers)
        ]
        for process in self._processes:
            process.start()

    def take(self) -> list[Sample]:
        """The next batch."""
        batch: list[Sample] = self._ready.get()
        return batch

    def stop(self) -> None:
        """End the processes."""
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.join()

    def _work(self, words: Sequence[str], tokenizer: Any, seed: str, batch: int) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        torch.set_num_threads(1)
        parent = multiprocessing.parent_process()
        for samples in draw_batches(Random(seed), words, tokenizer, batch):
            while True:
                try:
                    self._ready.put(samples, timeout=_LOOK_SECONDS)
                    break
                except Full:
                    # a killed training leaves its processes behind
                    if parent is not None and not parent.is_alive():
                        return
