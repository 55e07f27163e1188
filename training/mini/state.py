"""What a training keeps between two machines: its weights in bfloat16, in shards small enough to be carried.

The optimizer's momenta are not kept. They forget within some fifty steps, which the rate's new warm-up takes.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from training.common.model import BatchedReader

MOST_BYTES = 15_000_000
"""Of a shard."""

_CLOCK = "clock.json"


def save_state(folder: Path, reader: BatchedReader, steps: int, elapsed: float) -> None:
    """Write the weights and the clock, the clock last: a folder without one is no state."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _CLOCK).unlink(missing_ok=True)
    for old in folder.glob("shard-*.safetensors"):
        old.unlink()
    for number, tensors in enumerate(_shards(reader.state_dict())):
        save_file(tensors, folder / f"shard-{number}.safetensors")
    (folder / _CLOCK).write_text(json.dumps({"steps": steps, "elapsed": elapsed}) + "\n", "utf-8")


def load_clock(folder: Path) -> tuple[int, float]:
    """Steps and seconds that a state stands at; zeros where there is none."""
    path = folder / _CLOCK
    if not path.is_file():
        return 0, 0.0
    clock = json.loads(path.read_text("utf-8"))
    return int(clock["steps"]), float(clock["elapsed"])


def load_weights(folder: Path, reader: BatchedReader) -> None:
    """Take up the weights of a state; raises `RuntimeError` where a shard is missing."""
    tensors: dict[str, Tensor] = {}
    for shard in sorted(folder.glob("shard-*.safetensors")):
        tensors |= load_file(shard)
    missing = set(_own(reader.state_dict())) - set(tensors)
    if missing:
        raise RuntimeError(f"{folder} lacks {len(missing)} tensors, {min(missing)} among them: carry every shard")
    reader.load_state_dict({name: tensor.float() for name, tensor in tensors.items()}, strict=False)


def _own(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Without the head that is tied to the embedding."""
    return {name: tensor for name, tensor in tensors.items() if not name.endswith("lm_head.weight")}


def _shards(tensors: dict[str, Tensor]) -> list[dict[str, Tensor]]:
    shards: list[dict[str, Tensor]] = [{}]
    size = 0
    for name, tensor in _own(tensors).items():
        kept = tensor.detach().to("cpu", torch.bfloat16, copy=True).contiguous()
        if size + kept.nbytes > MOST_BYTES and shards[-1]:
            shards.append({})
            size = 0
        shards[-1][name] = kept
        size += kept.nbytes
    return shards
