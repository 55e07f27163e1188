"""Adapters of random numbers for the embedded checkpoint, in each spelling of its modules' names."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from ocrvl.adapters.folder import CONFIG_FILE, WEIGHTS_FILE, weight_shapes
from ocrvl.adapters.names import is_adaptable
from ocrvl.checkpoint import nano_path

Spelling = Callable[[str], str]


def as_checkpoint(module: str) -> str:
    return f"base_model.model.{module}"


def as_transformers(module: str) -> str:
    for prefix, spelled in (("model.", "language_model."), ("visual.", "visual."), ("mlp_AR.", "projector.")):
        if module.startswith(prefix):
            return f"base_model.model.model.{spelled}{module.removeprefix(prefix)}"
    raise ValueError(module)


def everywhere(module: str) -> bool:
    return True


def in_language_model(module: str) -> bool:
    return module.startswith("model.")


def random_tensors(
    seed: int, rank: int, strength: float, where: Callable[[str], bool] = everywhere
) -> dict[str, dict[str, torch.Tensor]]:
    """Matrices for the modules that adapters may change."""
    random = torch.Generator().manual_seed(seed)
    return {
        module: {
            "lora_A": torch.randn(rank, shape[1], generator=random) / shape[1] ** 0.5,
            "lora_B": torch.randn(shape[0], rank, generator=random) * strength / rank**0.5,
        }
        for module, shape in sorted(weight_shapes(nano_path()).items())
        if is_adaptable(module) and where(module)
    }


def write_adapter(
    folder: Path,
    tensors: Mapping[str, Mapping[str, torch.Tensor]],
    spelling: Spelling = as_checkpoint,
    **config: Any,
) -> Path:
    """Write it as peft does; `config` are further keys of its description. Returns the folder."""
    rank = next(iter(tensors.values()))["lora_A"].shape[0]
    folder.mkdir(parents=True, exist_ok=True)
    flat = {f"{spelling(name)}.{part}.weight": value for name, pair in tensors.items() for part, value in pair.items()}
    save_file({key: value.contiguous() for key, value in flat.items()}, folder / WEIGHTS_FILE)
    written = {"peft_type": "LORA", "r": rank, "lora_alpha": rank, "target_modules": ["q_proj"], **config}
    (folder / CONFIG_FILE).write_text(json.dumps(written), "utf-8")
    return folder
