"""What Triton tells a model when it loads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ocrvl.messages import Array
from ocrvl.models.engine.settings import SETTINGS_FILE, EngineSettings
from ocrvl.wire import Model, Tensor


class Log(Protocol):
    """The server's log."""

    def verbose(self, line: str) -> None:
        """A line for those who look for something."""

    def info(self, line: str) -> None:
        """A line about what is as it should be."""

    def warning(self, line: str) -> None:
        """A line that an operator should see."""


class TensorReader(Protocol):
    """The input tensors of a request."""

    def __call__(self, name: Tensor) -> Array:
        """The tensor of this name. Raises `InvalidArgument` for one that is not there."""

    def optional(self, name: Tensor) -> Array | None:
        """The tensor of this name, None where the caller left it out."""


class Caller(Protocol):
    """The one who sent a request, as far as Triton tells: not whether the caller of an ensemble has gone."""

    @property
    def seconds(self) -> float | None:
        """How long the request may take (its parameter `timeout`); None where it does not say."""

    def is_gone(self) -> bool:
        """Whether it has gone away or cancelled. It asks the server."""


@dataclass(frozen=True)
class ModelContext:
    """What Triton tells a model when it loads: its folder and version, and `parameters` of its `config.pbtxt`.

    `replica` names this instance and no other of the server, `kind` and `device` are where it runs, `replicas` how many
    instances there are;
    `max_batch_size` is how many requests its batcher brings together, 0 where it has none.
    """

    name: str
    folder: Path
    version: str
    parameters: Mapping[str, str]
    replica: str
    kind: str
    device: int
    replicas: int
    max_batch_size: int

    @classmethod
    def from_args(cls, args: Mapping[str, str]) -> ModelContext:
        """From the `args` of a model's `initialize`."""
        config = json.loads(args["model_config"])
        parameters = {key: entry["string_value"] for key, entry in config.get("parameters", {}).items()}
        kind, device = args["model_instance_kind"], int(args["model_instance_device_id"])
        return cls(
            name=config["name"],
            folder=Path(args["model_repository"]),
            version=args["model_version"],
            parameters=parameters,
            # Triton names the instances of a group alike on each of its GPUs
            replica=args["model_instance_name"] + (f"_gpu{device}" if kind == "GPU" else ""),
            kind=kind,
            device=device,
            max_batch_size=config["max_batch_size"],
            replicas=sum(group["count"] * max(1, len(group["gpus"])) for group in config["instance_group"]),
        )

    @property
    def config_file(self) -> Path:
        """Where the model's `parameters` are written."""
        return self.folder / "config.pbtxt"

    def engine_settings(self) -> EngineSettings:
        """The engine's settings, which live beside its model: the other models of the repository read them there."""
        return EngineSettings.from_file(self.folder.parent / Model.ENGINE / self.version / SETTINGS_FILE)
