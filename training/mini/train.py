"""Train mini, on a GPU in parts that resume.

The loss is that of the next token plus twice that of the auxiliary head, which tells the characters of each quarter of
a cell. The schedule is one of time, so that the training ends with its rate at zero whatever the machine.
"""

from __future__ import annotations

import time
from pathlib import Path
from random import Random

import torch
from transformers import PaddleOCRVLConfig

from ocrvl.prompts import TASK_PROMPTS
from ocrvl.wire import Task
from training.common.batches import Batch
from training.common.feeder import Feeder
from training.common.loop import timed_steps
from training.common.measure import character_score
from training.common.tables import Shape as AnyShape
from training.common.trainer import Plan, Trainer
from training.mini.architecture import build_reader, write_checkpoint
from training.mini.samples import SLOTS, MiniSource, decode_labels, fill_batch
from training.mini.shapes import Shape
from training.mini.state import load_clock, load_weights, save_state
from training.mini.vocabulary import END_ID, decode_text, tail_ids
from training.mini.world.draw import Drawing, Matter, World

_HELD_OUT_SHAPES = (Shape(1, 16), Shape(5, 14), Shape(14, 16))
"""Grids that training does not see, in fonts and of prose that it does not see."""


class MiniTrainer(Trainer):
    """The model with its optimizer, reported apart for lines (up to 3 cells high), blocks and columns."""

    groups = ("lines", "blocks", "columns")

    def __init__(self, plan: Plan, config: PaddleOCRVLConfig | None = None) -> None:
        super().__init__(plan, build_reader(plan.seed, config))

    def group(self, shape: AnyShape) -> int:
        """Lines, blocks or columns."""
        return 0 if shape.rows <= 3 else 1 if shape.rows <= 12 else 2

    def score(self, matter: Matter, count: int) -> str:
        """Character scores of greedy reading, of text alone."""
        return "  ".join(
            f"{shape.rows}x{shape.columns} {self._score(shape, matter, count):.4f}" for shape in _HELD_OUT_SHAPES
        )

    def _score(self, shape: Shape, matter: Matter, count: int) -> float:
        batch = Batch.empty(shape, count, SLOTS)
        fill_batch(batch, shape, _TextWorld(Random(f"score/{shape}"), matter))
        with torch.autocast("cuda", torch.bfloat16, enabled=self.on_gpu):
            answers = self.reader.generate(
                torch.from_numpy(batch.patches).to(self.device),
                torch.tensor(tail_ids(TASK_PROMPTS[Task.OCR]), device=self.device),
                shape,
                self.tables(shape),
                END_ID,
                min(256, shape.capacity),
            )
        return character_score(
            [decode_text(row) for row in answers.tolist()], [decode_labels(row) for row in batch.labels]
        )


class _TextWorld(World):
    """The world without what is not asked for by `OCR:`."""

    def draw(self, task: Task, size: tuple[int, int], most: int) -> Drawing:  # noqa: ARG002 - every task is text
        """A block of text of at most 200 tokens."""
        return super().draw(Task.OCR, size, min(most, 200))

    def draw_nothing(self, size: tuple[int, int]) -> Drawing:
        """A block of text as well."""
        return super().draw(Task.OCR, size, 40)


def train(plan: Plan, world: Path, checkpoint: Path, state: Path, config: PaddleOCRVLConfig | None = None) -> None:
    """Train until the part's or the training's end, resuming from `state` where there is one; write both folders."""
    matter, held_out = Matter.read(world), Matter.read(world, held_out=True)
    steps, elapsed = load_clock(state)
    slots = 64 if plan.device == "cuda" else 4
    feeder = Feeder(
        MiniSource(matter),
        f"{plan.seed}/{steps}",
        plan.workers,
        slots,
        plan.batch_tokens,
        plan.reuse,
        elapsed / plan.seconds,
    )
    try:
        trainer = MiniTrainer(plan, config)
        if steps:
            load_weights(state, trainer.reader)
        trainer.steps, trainer.elapsed, trainer.resumed = steps, elapsed, elapsed
        print(f"{sum(p.numel() for p in trainer.reader.model.parameters())} parameters, at step {trainer.steps}")
        few = 32 if trainer.on_gpu else 2
        scored = time.monotonic()
        for _ in timed_steps(trainer, feeder):
            print(f"step {trainer.steps} at {trainer.elapsed:.0f} s, {feeder.drawn} batches drawn: {trainer.report()}")
            if time.monotonic() - scored > plan.score_seconds:
                save_state(state, trainer.reader, trainer.steps, trainer.elapsed)
                print(f"held out: {trainer.score(held_out, few)}")
                scored = time.monotonic()
        save_state(state, trainer.reader, trainer.steps, trainer.elapsed)
        write_checkpoint(trainer.reader.model, checkpoint)
        print(f"at the end, step {trainer.steps}; held out: {trainer.score(held_out, few)}")
    finally:
        feeder.stop()
