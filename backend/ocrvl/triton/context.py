"""What Triton tells a model when it loads."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ocrvl.messages import Array
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
        """The tensor of this name. Raises `InvalidArgument` for one that is missing."""

    def optional(self, name: Tensor) -> Array | None:
        """The tensor of this name, None where the caller left it out."""


class InferenceRequest(Protocol):
    """A request from Triton, as a model needs it."""

    @property
    def request_id(self) -> str:
        """The caller's id, empty where it gave none."""

    @property
    def parameters(self) -> Mapping[str, Any]:
        """Triton's request parameters."""

    @property
    def trace_headers(self) -> Mapping[str, str]:
        """W3C trace context."""

    @property
    def timeout(self) -> float | None:
        """Seconds that the request may take (its parameter `timeout`); None where it does not say."""

    @property
    def read(self) -> TensorReader:
        """Its input tensors."""

    def is_abandoned(self) -> bool:
        """Whether its caller has gone away or cancelled, as far as Triton knows. It asks the server."""


class Call(InferenceRequest, Protocol):
    """A request and the way back to its caller: several responses, or one. After the last one nothing is sent."""

    def send(self, tensors: Mapping[Tensor, Array]) -> None:
        """Send one of several responses (decoupled models alone)."""

    def answer(self, tensors: Mapping[Tensor, Array]) -> None:
        """Send the last response."""

    def fail(self, error: Exception) -> None:
        """Send an error, which is the last response."""

    def end(self) -> None:
        """End without a further response (decoupled models alone)."""


class CallModel(Protocol):
    """Calls another model of this server."""

    def __call__(
        self,
        call: Any,
        model: Model,
        inputs: Mapping[Tensor, Array] | None,
        outputs: Sequence[Tensor],
        parameters: Mapping[str, str | bool],
    ) -> Coroutine[Any, Any, Callable[[Tensor], Array]]:
        """Its outputs, by their names. Raises `OcrError`.

        `call` is the request that it is called for, whose inputs it gets where `inputs` is None.
        """


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

    def version_folder(self, model: Model) -> Path:
        """The folder of another model's version that goes with this one."""
        return self.folder.parent / model / self.version
