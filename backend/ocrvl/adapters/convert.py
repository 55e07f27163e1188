"""Adapters of other trainers in peft's form, with the checkpoint's own names.

Peft and ms-swift write that form, in either spelling of names. PaddleFormers writes `lora_config.json` and
`peft_model-….safetensors`, keys without `.weight`, matrices the other way round; it is held to the checkpoint's shapes.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError, safe_open

from ocrvl.adapters.check import Adapter, check_adapter
from ocrvl.adapters.folder import (
    CONFIG_FILE,
    PADDLE_CONFIG_FILE,
    WEIGHTS_FILE,
    AdapterError,
    read_config,
    read_headers,
    weight_shapes,
)
from ocrvl.adapters.names import canonical
from ocrvl.validation import find_field_errors

_PREFIX: Final = "base_model.model."


class _PaddleConfig(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    r: int = Field(ge=1)
    lora_alpha: float = Field(gt=0, allow_inf_nan=False)
    rslora: bool = False


def convert_adapter(folder: Path, checkpoint: Path, output: Path) -> Adapter:
    """Write the adapter of `folder` to `output`, which must not exist, and check it. Raises `AdapterError`."""
    if output.exists():
        raise AdapterError(f"{output}: it exists already")
    if (folder / PADDLE_CONFIG_FILE).is_file() and not (folder / CONFIG_FILE).is_file():
        tensors, config = _read_paddle(folder)
    else:
        tensors, config = _read_peft(folder)
    from safetensors.torch import save_file

    output.mkdir(parents=True)
    save_file({key: tensor.contiguous() for key, tensor in tensors.items()}, output / WEIGHTS_FILE)
    (output / CONFIG_FILE).write_text(json.dumps(config, indent=2) + "\n", "utf-8")
    try:
        return check_adapter(output, weight_shapes(checkpoint))
    except AdapterError:
        shutil.rmtree(output)
        raise


def _read_peft(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    config = read_config(folder)
    tensors = _read_tensors([folder / WEIGHTS_FILE])
    return {_PREFIX + canonical(key): tensor for key, tensor in tensors.items()}, config.model_dump(mode="json")


def _read_paddle(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    path = folder / PADDLE_CONFIG_FILE
    try:
        config = _PaddleConfig.model_validate_json(path.read_bytes())
    except ValidationError as error:
        problems = [problem.describe(with_value=True) for problem in find_field_errors(error)]
        raise AdapterError("\n".join(f"{path}: {problem}" for problem in problems)) from None
    files = sorted(folder.glob("peft_model*.safetensors"))
    if not files:
        raise AdapterError(f"{folder}: no peft_model*.safetensors")
    tensors = {
        f"{_PREFIX}{canonical(key.removesuffix('.weight'))}.weight": tensor.t() if tensor.dim() == 2 else tensor
        for key, tensor in _read_tensors(files).items()
    }
    return tensors, {
        "peft_type": "LORA",
        "r": config.r,
        "lora_alpha": config.lora_alpha,
        "use_rslora": config.rslora,
        "bias": "none",
        "target_modules": sorted({module.rpartition(".")[2] for module in map(_module_of, tensors)}),
    }


def _module_of(key: str) -> str:
    return key.removesuffix(".weight").rpartition(".")[0]


def _read_tensors(paths: list[Path]) -> dict[str, Any]:
    tensors: dict[str, Any] = {}
    for path in paths:
        # says what is wrong with a file that is none
        read_headers(path)
        try:
            with safe_open(path, framework="pt") as file:
                tensors |= {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - it is no dictionary
        except SafetensorError as error:
            raise AdapterError(f"{path}: {error}") from None
    return tensors
