"""What is compared: how images reach an engine, settings of that engine, and over how many GPUs it is spread."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from ocrvl.repository.options import Parallel
from perf.gpu.stand_in import write_stand_in


class System(StrEnum):
    """How images reach the engine."""

    READY = "ready"
    """Patches that are there already, straight to an engine in the process that sends them, with the packed encoder."""
    STOCK = "stock"
    """The same with vLLM's own class, which takes normalised patches."""
    OPENAI = "openai"
    """Encoded images through vLLM's own HTTP server, with its own class."""
    OPENAI_PACKED = "openai-packed"
    """The same with the packed encoder."""
    SERVED = "served"
    """Encoded images through this project's whole server over gRPC."""
    ENGINE = "engine"
    """Patches that are there already, over gRPC to the engine's model, in a server that has no other."""
    BARE = "bare"
    """The same to a model with nothing in it but the engine."""

    @property
    def is_packed(self) -> bool:
        """Whether the plugin's class reads its images."""
        return self not in (System.STOCK, System.OPENAI)

    @property
    def is_engine(self) -> bool:
        """Whether it is an engine in the process that sends the images."""
        return self in (System.READY, System.STOCK)

    @property
    def is_triton(self) -> bool:
        """Whether Triton is between the images and the engine."""
        return self in (System.SERVED, System.ENGINE, System.BARE)


@dataclass(frozen=True)
class Variant:
    """A system, and what its engine arguments have of their own.

    `gpus`, `engines` (on each of them) and `parallel` among them are no engine arguments but those of
    `ocrvl repository`, where there is Triton; `options` are those of each request beside its tokens; names in capitals
    are variables of its environment.
    """

    system: System
    overrides: dict[str, Any]

    @property
    def gpus(self) -> int:
        """The first so many GPUs are used."""
        return int(self.overrides.get("gpus", 1))

    @property
    def engines(self) -> int:
        """So many engines are on each."""
        return int(self.overrides.get("engines", 1))

    @property
    def parallel(self) -> Parallel:
        """How they are used. Raises `ValueError`."""
        return Parallel(self.overrides.get("parallel", Parallel.DATA))

    @property
    def options(self) -> dict[str, Any]:
        """What requests say beside the tokens of their texts."""
        return dict(self.overrides.get("options", {}))

    @property
    def engine_overrides(self) -> dict[str, Any]:
        """What the engine is told."""
        return {
            key: value
            for key, value in self.overrides.items()
            if key not in ("gpus", "engines", "options", "parallel") and key not in self.environment
        }

    @property
    def environment(self) -> dict[str, str]:
        """Variables of its environment."""
        return {key: str(value) for key, value in self.overrides.items() if key.isupper()}

    @property
    def name(self) -> str:
        """As `parse_variant` reads it."""
        return ":".join([self.system, *(f"{key}={_write(value)}" for key, value in self.overrides.items())])

    @property
    def file_name(self) -> str:
        """The name, fit for a file."""
        return re.sub(r"[^\w.-]+", "-", self.name)


def parse_variant(text: str) -> Variant:
    """A variant by its name; values are JSON, or text where they are none. Raises `ValueError`.

    >>> parse_variant("ready:max_num_seqs=32:quantization=fp8").overrides
    {'max_num_seqs': 32, 'quantization': 'fp8'}
    >>> parse_variant('ready:additional_config={"gather":{"seconds":0.05}}:max_num_seqs=32').overrides
    {'additional_config': {'gather': {'seconds': 0.05}}, 'max_num_seqs': 32}
    """
    system, *settings = re.split(r":(?=\w+=)", text)
    pairs = (setting.partition("=") for setting in settings)
    return Variant(System(system), {key: _read(value) for key, _, value in pairs})


_ARGUMENTS: Final[dict[str, Any]] = {
    "dtype": "bfloat16",
    "max_model_len": 8192,
    "max_num_seqs": 128,
    "max_num_batched_tokens": 16384,
    # several engines share a GPU: each takes what it is told rather than what it finds, and a check that it is free
    "gpu_memory_utilization": 0.2,
    "kv_cache_memory_bytes": 8 << 30,
}
_TINY_ARGUMENTS: Final[dict[str, Any]] = {
    "load_format": "dummy",
    "dtype": "float32",
    "max_model_len": 2048,
    "max_num_seqs": 8,
    "max_num_batched_tokens": 2048,
    "enforce_eager": True,
}
"""What makes each script run from end to end on a CPU; nothing is measured with it."""


def write_weights(settings: Path) -> None:
    """Write random weights beside these settings, where their engine loads some and there are none yet."""
    arguments = json.loads(settings.read_text("utf-8"))
    checkpoint = Path(arguments["model"])
    if arguments.get("load_format") != "dummy" and not any(checkpoint.glob("*.safetensors")):
        # in another process, which may use the GPU for it
        subprocess.run([sys.executable, "-m", "perf.gpu.stand_in", str(checkpoint)], check=True)  # noqa: S603


def write_settings(variant: Variant, folder: Path, *, tiny: bool) -> Path:
    """Write the variant's `model.json`, beside a stand-in checkpoint that all of a folder share.

    An argument of its own that is null is left to vLLM.
    """
    checkpoint = folder / "stand-in"
    if not checkpoint.exists():
        write_stand_in(checkpoint, **({"text": {}, "vision": {}} if tiny else {}))
    settings = folder / variant.file_name / "model.json"
    settings.parent.mkdir()
    arguments = {"model": str(checkpoint), **(_TINY_ARGUMENTS if tiny else _ARGUMENTS), **variant.engine_overrides}
    arguments = {key: value for key, value in arguments.items() if value is not None}
    settings.write_text(json.dumps(arguments), "utf-8")
    return settings


def _read(value: str) -> Any:
    try:
        return json.loads(value)
    except ValueError:
        return value


def _write(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
