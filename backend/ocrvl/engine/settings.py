"""Settings of an engine, read once: `model.json` holds vLLM's `AsyncEngineArgs`, as with Triton's vLLM backend."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from ocrvl.checkpoint import resolve_checkpoint
from ocrvl.images.grid import PixelGrid

SETTINGS_FILE: Final = "model.json"

_OURS: Final[dict[str, Any]] = {
    # pictures do not repeat in OCR, so caches of pictures and prefixes only cost (vLLM's recipe for this model)
    "mm_processor_cache_gb": 0,
    "enable_prefix_caching": False,
    "limit_mm_per_prompt": {"image": 1},
    # defaults of a request are this project's, in one place (`ocrvl.options`), not the checkpoint's
    "generation_config": "vllm",
    # what the metrics are made of
    "disable_log_stats": False,
    "max_num_seqs": 64,
    "gpu_memory_utilization": 0.9,
}
"""What this project sets where `model.json` says nothing."""


@dataclass(frozen=True)
class EngineSettings:
    """One engine's settings: the checkpoint's folder, how it cuts pictures, and vLLM's engine arguments."""

    source: Path
    checkpoint: Path
    grid: PixelGrid
    engine_args: Mapping[str, Any]

    @classmethod
    def from_file(cls, path: Path) -> EngineSettings:
        """Read a `model.json`; relative checkpoint paths are looked for beside it.

        Raises `ValueError` that names the file, and the key where one is wrong.
        """
        try:
            raw = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise ValueError(f"{path}: {error}") from error
        name = raw.get("model") if isinstance(raw, dict) else None
        if not name or not isinstance(name, str):
            raise ValueError(f"{path}: a JSON object with a 'model' (nano, a folder or a hub id) is wanted")
        try:
            checkpoint = resolve_checkpoint(name, path.parent)
            grid = PixelGrid.from_checkpoint(checkpoint)
        except (OSError, ValueError, KeyError) as error:
            raise ValueError(f"{path}: model: {error}") from error
        args = {**_OURS, **raw, "model": str(checkpoint)}
        args.setdefault("served_model_name", name)
        return cls(source=path, checkpoint=checkpoint, grid=grid, engine_args=MappingProxyType(args))

    @property
    def max_num_seqs(self) -> int:
        """Pictures that the engine runs at once."""
        return int(self.engine_args["max_num_seqs"])

    @property
    def gpu_memory_utilization(self) -> float:
        """The share of a device's memory that the engine may take."""
        return float(self.engine_args["gpu_memory_utilization"])
