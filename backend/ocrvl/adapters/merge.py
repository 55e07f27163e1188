"""An adapter merged into its checkpoint: weights that vLLM and transformers load as they load the base."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import safe_open

from ocrvl.adapters.check import check_adapter
from ocrvl.adapters.folder import WEIGHTS_FILE, AdapterError, read_config, weight_files, weight_shapes
from ocrvl.adapters.names import canonical


def merge_adapter(folder: Path, checkpoint: Path, output: Path) -> None:
    """Write `checkpoint` with the adapter of `folder` to `output`, which must not exist.

    The sum is computed in float32 and rounded to each weight's own dtype; all other files are copied, so that names and
    configuration stay the checkpoint's. Raises `AdapterError`.
    """
    from safetensors.torch import save_file

    if output.exists():
        raise AdapterError(f"{output}: it exists already")
    check_adapter(folder, weight_shapes(checkpoint))
    changes = read_changes(folder)
    files = weight_files(checkpoint)
    shutil.copytree(checkpoint, output, ignore=lambda _, names: {path.name for path in files} & set(names))
    for path in files:
        with safe_open(path, framework="pt") as file:
            tensors = {key: _add(key, file.get_tensor(key), changes) for key in file.keys()}  # noqa: SIM118
            save_file(tensors, output / path.name, metadata=file.metadata())


def read_changes(folder: Path) -> dict[str, Any]:
    """What an adapter adds to each weight, float32 [out, in], by its module's canonical name."""
    config = read_config(folder)
    with safe_open(folder / WEIGHTS_FILE, framework="pt") as file:
        modules = {key.removesuffix(".lora_A.weight") for key in file.keys() if key.endswith(".lora_A.weight")}  # noqa: SIM118
        return {
            canonical(module): config.scaling(module.removeprefix("base_model.model."))
            * (file.get_tensor(f"{module}.lora_B.weight").float() @ file.get_tensor(f"{module}.lora_A.weight").float())
            for module in modules
        }


def _add(key: str, weight: Any, changes: Mapping[str, Any]) -> Any:
    change = changes.get(canonical(key.removesuffix(".weight"))) if key.endswith(".weight") else None
    return weight if change is None else (weight.float() + change).to(weight.dtype)
