"""Train the nano checkpoint, on a GPU in minutes or on a CPU in hours, resumably.

The loss is that of the next token plus twice that of the auxiliary head (`model.CellHead`): without it the model reads
nothing for hours. The schedule is one of time, so that a run ends with its learning rate at zero whatever the machine.
"""

from __future__ import annotations

import time
from pathlib import Path

import torch

from training.common.feeder import Feeder
from training.common.loop import timed_steps
from training.common.trainer import Plan
from training.nano.architecture import write_checkpoint
from training.nano.source import NanoSource
from training.nano.texts import Split, read_words
from training.nano.trainer import NanoTrainer


def train(plan: Plan, word_list: Path, checkpoint: Path, state: Path) -> None:
    """Train until the part's or the training's end, resuming from `state` where there is one; write both folders."""
    words, held_out = read_words(Split.TRAINING, word_list), read_words(Split.HELD_OUT, word_list)
    clock = torch.load(state / "clock.pt", weights_only=True) if (state / "clock.pt").exists() else None
    resumed, elapsed = (int(clock["steps"]), float(clock["elapsed"])) if clock else (0, 0.0)
    slots = 96 if plan.device == "cuda" else 4
    feeder = Feeder(
        NanoSource(words),
        f"{plan.seed}/{resumed}",
        plan.workers,
        slots,
        plan.batch_tokens,
        plan.reuse,
        elapsed / plan.seconds,
    )
    try:
        trainer = NanoTrainer(plan)
        if clock:
            trainer.load(state)
        print(f"{sum(p.numel() for p in trainer.reader.model.parameters())} parameters, at step {trainer.steps}")
        few = 48 if trainer.on_gpu else 2
        scored = time.monotonic()
        for _ in timed_steps(trainer, feeder):
            print(f"step {trainer.steps} at {trainer.elapsed:.0f} s, {feeder.drawn} batches drawn: {trainer.report()}")
            if time.monotonic() - scored > plan.score_seconds:
                scored = time.monotonic()
                trainer.save(state)
                write_checkpoint(trainer.reader.model, checkpoint)
                print(f"held out: {trainer.score(held_out, few)}")
        trainer.save(state)
        write_checkpoint(trainer.reader.model, checkpoint)
        print(f"at the end, step {trainer.steps}; held out: {trainer.score(held_out, 2 * few)}")
    finally:
        feeder.stop()
