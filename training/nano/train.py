"""Train the nano checkpoint, on a GPU in minutes or on a CPU in hours, resumably.

The loss is that of the next token plus twice that of the auxiliary head (`model.CellHead`): without it the model reads
nothing for hours. The schedule is one of time, so that a run ends with its learning rate at zero whatever the machine.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import torch

from training.nano.architecture import write_checkpoint
from training.nano.feeder import Feeder
from training.nano.texts import Split, read_words
from training.nano.trainer import Plan, Trainer


def train(plan: Plan, checkpoint: Path, state: Path) -> None:
    """Train until the part's or the training's end, resuming from `state` where there is one; write both folders."""
    words, held_out = read_words(Split.TRAINING, plan.words), read_words(Split.HELD_OUT, plan.words)
    clock = torch.load(state / "clock.pt", weights_only=True) if (state / "clock.pt").exists() else None
    resumed, elapsed = (int(clock["steps"]), float(clock["elapsed"])) if clock else (0, 0.0)
    slots = 96 if plan.device == "cuda" else 4
    feeder = Feeder(
        words, f"{plan.seed}/{resumed}", plan.workers, slots, plan.batch_tokens, plan.reuse, elapsed / plan.seconds
    )
    try:
        trainer = Trainer(plan)
        if clock:
            trainer.load(state)
        print(f"{sum(p.numel() for p in trainer.nano.model.parameters())} parameters, at step {trainer.steps}")
        few = 48 if trainer.on_gpu else 2
        scored = time.monotonic()
        for _ in _timed_steps(trainer, feeder):
            print(f"step {trainer.steps} at {trainer.elapsed:.0f} s, {feeder.drawn} batches drawn: {trainer.report()}")
            if time.monotonic() - scored > plan.score_seconds:
                scored = time.monotonic()
                trainer.save(state)
                write_checkpoint(trainer.nano.model, checkpoint)
                print(f"held out: {trainer.score(held_out, few)}")
        trainer.save(state)
        write_checkpoint(trainer.nano.model, checkpoint)
        print(f"at the end, step {trainer.steps}; held out: {trainer.score(held_out, 2 * few)}")
    finally:
        feeder.stop()


def _timed_steps(trainer: Trainer, feeder: Feeder) -> Iterator[None]:
    """Step until the time is over; yields whenever a report is due."""
    plan = trainer.plan
    if trainer.on_gpu:
        _pin(feeder)
    in_flight: deque[tuple[torch.cuda.Event, list[int]]] = deque()
    began = time.monotonic() - trainer.elapsed
    reported = trainer.elapsed
    while trainer.elapsed < min(plan.until, plan.seconds):
        shape, batch, finished = feeder.take()
        trainer.step(batch, shape)
        if trainer.on_gpu:
            # The copy to the device is only enqueued: a slot may be filled anew some steps later.
            event = torch.cuda.Event()
            event.record()
            in_flight.append((event, finished))
            if len(in_flight) < 4:
                finished = []
            else:
                event, finished = in_flight.popleft()
                event.synchronize()
        for slot in finished:
            feeder.release(slot)
        trainer.elapsed = time.monotonic() - began
        feeder.set_progress(trainer.progress)
        if trainer.elapsed - reported > plan.report_seconds:
            reported = trainer.elapsed
            yield


def _pin(feeder: Feeder) -> None:
    """Lock the feeder's memory, so that copies to the device need no host thread."""
    memory = torch.frombuffer(feeder.memory, dtype=torch.uint8)
    code = torch.cuda.cudart().cudaHostRegister(memory.data_ptr(), memory.nbytes, 0)
    if int(code) != 0:
        print(f"memory stays unpinned (CUDA error {int(code)}): copies are slower")
