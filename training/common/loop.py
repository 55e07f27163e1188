"""Steps until a part of the training is over, batches being drawn and copied meanwhile."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator

import torch

from training.common.feeder import Feeder
from training.common.trainer import Trainer


def timed_steps(trainer: Trainer, feeder: Feeder) -> Iterator[None]:
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
