"""Settings of an engine, read once: `model.json` holds vLLM's `AsyncEngineArgs`, as with Triton's vLLM backend."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, field_validator

from ocrvl.adapters.names import AdapterName
from ocrvl.checkpoint import resolve_checkpoint
from ocrvl.imaging.grid import PixelGrid
from ocrvl.validation import find_field_errors
from ocrvl.vllm_plugin.bursts.settings import BurstSettings
from ocrvl.vllm_plugin.scheduler import GatherSettings
from ocrvl.vllm_plugin.settings import EncoderGraphSettings, EncoderPrecision
from ocrvl.vllm_plugin.worker import EXTENSION

SETTINGS_FILE: Final = "model.json"
ADAPTERS_FILE: Final = "multi_lora.json"
"""Beside it: adapters as Triton's vLLM backend has them, an object of folders by names."""

GPU_MEMORY: Final = 0.9
"""The share of a GPU's memory that engines on it may take together (vLLM's own for one)."""

_OURS: Final[dict[str, Any]] = {
    # images do not repeat in OCR, so caches of images and prefixes only cost (vLLM's recipe for this model)
    "mm_processor_cache_gb": 0,
    "enable_prefix_caching": False,
    "limit_mm_per_prompt": {"image": 1},
    # defaults of a request are this project's, in one place (`ocrvl.options`), not the checkpoint's
    "generation_config": "vllm",
    # what the metrics are made of
    "disable_log_stats": False,
    # its steps are counted and end, where a caller's pattern makes the default backend hang (`ocrvl.structured_output`)
    "structured_outputs_config": {"backend": "guidance"},
    "max_num_seqs": 64,
    "gpu_memory_utilization": GPU_MEMORY,
    # lets its processes return memory that they have freed
    "worker_extension_cls": EXTENSION,
}
"""This project's defaults for `model.json`."""


class _AdditionalConfig(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")

    gather: GatherSettings = GatherSettings()
    encoder_graphs: EncoderGraphSettings = EncoderGraphSettings()
    encoder_precision: EncoderPrecision = "auto"
    burst: BurstSettings = BurstSettings()


class _Arguments(BaseModel):
    """The engine arguments that are checked before vLLM starts, which would say less, and later."""

    model_config = ConfigDict(strict=True, extra="ignore", allow_inf_nan=False)

    max_num_seqs: int = Field(ge=1)
    max_model_len: int | None = Field(None, ge=1)
    max_num_batched_tokens: int | None = Field(None, ge=1)
    gpu_memory_utilization: float = Field(gt=0, le=1)
    tensor_parallel_size: int = Field(1, ge=1)
    pipeline_parallel_size: int = Field(1, ge=1)
    enforce_eager: bool = False
    dtype: Literal["auto", "half", "float16", "bfloat16", "float", "float32"] = "auto"
    disable_log_stats: bool
    structured_outputs_config: dict[str, Any]
    additional_config: _AdditionalConfig | None = None
    adapters: dict[AdapterName, str] = {}

    @field_validator("pipeline_parallel_size")
    @classmethod
    def _refuse_pipeline(cls, size: int) -> int:
        if size > 1:
            raise ValueError("vLLM's class of this model has no pipeline parallelism, use tensor_parallel_size")
        return size

    @field_validator("disable_log_stats")
    @classmethod
    def _keep_stats(cls, disabled: bool) -> bool:
        if disabled:
            raise ValueError("the metrics, and noticing an engine that has stalled, need vLLM's statistics")
        return disabled

    @field_validator("structured_outputs_config")
    @classmethod
    def _keep_backend(cls, config: dict[str, Any]) -> dict[str, Any]:
        if config.get("backend") != "guidance":
            raise ValueError('expected "backend": "guidance", for which json_schema and regex are checked')
        return config


@dataclass(frozen=True)
class EngineSettings:
    """One engine's settings: the checkpoint's folder, how it cuts images, vLLM's arguments, adapters' folders."""

    source: Path
    checkpoint: Path
    grid: PixelGrid
    engine_args: Mapping[str, Any]
    adapters: Mapping[str, Path] = field(default_factory=dict)

    @classmethod
    def from_file(cls, path: Path) -> EngineSettings:
        """Read a `model.json` and the `multi_lora.json` beside it; relative paths are looked for there.

        Raises `ValueError` that names the file, and each key that is wrong.
        """
        try:
            raw = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise ValueError(f"{path}: {error}") from error
        name = raw.get("model") if isinstance(raw, dict) else None
        if not name or not isinstance(name, str):
            raise ValueError(f"{path}: expected a JSON object with a 'model' (nano, a folder or a hub id)")
        try:
            checkpoint = resolve_checkpoint(name, path.parent)
            grid = PixelGrid.from_checkpoint(checkpoint)
        except (OSError, ValueError, KeyError) as error:
            raise ValueError(f"{path}: model: {error}") from error
        args = {**_OURS, **raw, "model": str(checkpoint)}
        args.setdefault("served_model_name", name)
        _check_arguments(args, path)
        folders = {**_read_adapters(path.parent / ADAPTERS_FILE), **args.pop("adapters", {})}
        adapters = {name: path.parent / Path(folder).expanduser() for name, folder in folders.items()}
        return cls(path, checkpoint, grid, MappingProxyType(args), MappingProxyType(adapters))

    @classmethod
    def from_folder(cls, folder: Path) -> EngineSettings:
        """Those of a version of the engine's model, where its other models read them too. Raises `ValueError`."""
        return cls.from_file(folder / SETTINGS_FILE)

    @property
    def max_num_seqs(self) -> int:
        """Images that the engine runs at once."""
        return int(self.engine_args["max_num_seqs"])

    @property
    def measures_memory(self) -> bool:
        """Whether vLLM measures at its start how much memory there is for keys and values: unless the size is set."""
        return self.engine_args.get("kv_cache_memory_bytes") is None

    @property
    def can_trim_memory(self) -> bool:
        """Whether the engine's processes can return memory that they have freed."""
        return bool(self.engine_args["worker_extension_cls"] == EXTENSION)

    @property
    def gpu_memory_utilization(self) -> float:
        """The share of a device's memory that the engine may take."""
        return float(self.engine_args["gpu_memory_utilization"])


def _read_adapters(path: Path) -> dict[str, str]:
    if not path.exists():
        return {}
    try:
        return TypeAdapter(dict[AdapterName, str]).validate_json(path.read_bytes())
    except ValidationError as error:
        problems = (problem.describe(with_value=True) for problem in find_field_errors(error))
        raise ValueError("\n".join(f"{path}: {problem}" for problem in problems)) from None


def _check_arguments(args: Mapping[str, Any], source: Path) -> None:
    try:
        _Arguments.model_validate(args)
    except ValidationError as error:
        problems = (problem.describe(with_value=True) for problem in find_field_errors(error))
        raise ValueError("\n".join(f"{source}: {problem}" for problem in problems)) from None
