"""An adapter's files: peft's `adapter_config.json` and `adapter_model.safetensors`, and the weights of a checkpoint."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError, safe_open

from ocrvl.adapters.names import canonical
from ocrvl.validation import find_field_errors

CONFIG_FILE: Final = "adapter_config.json"
WEIGHTS_FILE: Final = "adapter_model.safetensors"
PADDLE_CONFIG_FILE: Final = "lora_config.json"
"""What PaddleFormers writes in place of `CONFIG_FILE`."""


class AdapterError(ValueError):
    """What is wrong with an adapter, each problem a line that names the file or the key."""


class AdapterConfig(BaseModel):
    """Peft's description of an adapter, as far as it says what its numbers mean."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    peft_type: str = "LORA"
    r: int = Field(ge=1)
    lora_alpha: float = Field(gt=0, allow_inf_nan=False)
    use_rslora: bool = False
    use_dora: bool = False
    lora_bias: bool = False
    bias: str = "none"
    modules_to_save: list[str] | None = None
    init_lora_weights: bool | str = True
    layer_replication: list[Any] | None = None
    rank_pattern: dict[str, int] = {}
    alpha_pattern: dict[str, float] = {}

    def rank(self, module: str) -> int:
        """The rank at the module that the adapter calls so, without what peft writes in front."""
        return int(_match(self.rank_pattern, module, self.r))

    def scaling(self, module: str) -> float:
        """What the product of the two matrices is multiplied by there."""
        rank = self.rank(module)
        return float(_match(self.alpha_pattern, module, self.lora_alpha)) / (
            math.sqrt(rank) if self.use_rslora else rank
        )


@dataclass(frozen=True)
class Header:
    """What a safetensors file says of a tensor: its `shape`, and its `dtype` in the format's words (`BF16`)."""

    shape: tuple[int, ...]
    dtype: str


def read_config(folder: Path) -> AdapterConfig:
    """Peft's description. Raises `AdapterError`."""
    path = folder / CONFIG_FILE
    try:
        return AdapterConfig.model_validate(json.loads(path.read_text("utf-8")))
    except ValidationError as error:
        problems = [problem.describe(with_value=True) for problem in find_field_errors(error)]
        raise AdapterError("\n".join(f"{path}: {problem}" for problem in problems)) from None
    except (OSError, ValueError) as error:
        raise AdapterError(_unreadable(folder, path, error)) from None


def read_headers(path: Path) -> dict[str, Header]:
    """The tensors of a safetensors file, by their keys. Raises `AdapterError` for a file that is none."""
    try:
        with safe_open(path, framework="pt") as file:
            slices = {key: file.get_slice(key) for key in file.keys()}  # noqa: SIM118 - it is no dictionary
            return {key: Header(tuple(part.get_shape()), str(part.get_dtype())) for key, part in slices.items()}
    except (OSError, SafetensorError) as error:
        raise AdapterError(_unreadable(path.parent, path, error)) from None


def weight_files(checkpoint: Path) -> list[Path]:
    """The files of a checkpoint's weights. Raises `AdapterError` where it has none."""
    index = checkpoint / "model.safetensors.index.json"
    if index.is_file():
        names = sorted(set(json.loads(index.read_text("utf-8"))["weight_map"].values()))
        return [checkpoint / name for name in names]
    path = checkpoint / "model.safetensors"
    if not path.is_file():
        raise AdapterError(f"{path} not found: adapters are checked against a checkpoint's weights")
    return [path]


def weight_shapes(checkpoint: Path) -> dict[str, tuple[int, ...]]:
    """The shape of each module's weight, by the module's canonical name. Raises `AdapterError`."""
    return {
        canonical(key.removesuffix(".weight")): header.shape
        for path in weight_files(checkpoint)
        for key, header in read_headers(path).items()
        if key.endswith(".weight")
    }


def _match(pattern: Mapping[str, float], module: str, default: float) -> float:
    """Peft's rule: the first key that is the end of the module's name, from a point on."""
    for key, value in pattern.items():
        if re.fullmatch(rf"(.*\.)?({key})", module):
            return value
    return default


def _unreadable(folder: Path, path: Path, error: Exception) -> str:
    if not folder.is_dir():
        return f"{folder}: no such folder"
    if (folder / PADDLE_CONFIG_FILE).is_file() and not path.is_file():
        return f"{folder}: PaddleFormers wrote this adapter, convert it first: ocrvl adapters convert"
    if not path.is_file():
        return f"{path}: no such file"
    form = "safetensors" if path.suffix == ".safetensors" else "JSON"
    return f"{path}: not {form} ({' '.join(str(error).split())[:200]})"
