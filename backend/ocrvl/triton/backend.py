"""The one module that knows Triton's Python backend (`pb_utils`); importable only inside one of its models.

The stub fills `pb_utils` with most of its names only after it has imported the model, so they are looked up when
they are used.
"""

from __future__ import annotations

import json
import traceback
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import triton_python_backend_utils as pb_utils

from ocrvl.engine.settings import SETTINGS_FILE, EngineSettings
from ocrvl.errors import InternalError, InvalidArgument, OcrError
from ocrvl.hop import Array
from ocrvl.wire import Model, Tensor

Request = Any
Response = Any
Sender = Any


@dataclass(frozen=True)
class ModelContext:
    """What Triton tells a model when it loads: its folder and version, and `parameters` of its `config.pbtxt`."""

    name: str
    folder: Path
    version: str
    parameters: Mapping[str, str]

    @classmethod
    def from_args(cls, args: Mapping[str, str]) -> ModelContext:
        """From the `args` of a model's `initialize`."""
        config = json.loads(args["model_config"])
        parameters = {key: entry["string_value"] for key, entry in config.get("parameters", {}).items()}
        return cls(config["name"], Path(args["model_repository"]), args["model_version"], parameters)

    def engine_settings(self) -> EngineSettings:
        """The engine's settings, which live beside its model: the other models of the repository read them there."""
        return EngineSettings.from_file(self.folder.parent / Model.ENGINE / self.version / SETTINGS_FILE)


def reader(request: Request) -> Callable[[Tensor], Array]:
    """A function from a tensor's name to its array; raises `InvalidArgument` for one that is not there."""

    def read(name: Tensor) -> Array:
        tensor = pb_utils.get_input_tensor_by_name(request, name.value)
        if tensor is None:
            raise InvalidArgument(f"the tensor {name} is missing")
        array: Array = tensor.as_numpy()
        return array

    return read


def has_input(request: Request, name: Tensor) -> bool:
    """Whether the caller sent an optional tensor."""
    return pb_utils.get_input_tensor_by_name(request, name.value) is not None


def response(tensors: Mapping[Tensor, Array]) -> Response:
    """A response with these output tensors."""
    return pb_utils.InferenceResponse([pb_utils.Tensor(name.value, array) for name, array in tensors.items()])


def error_response(error: Exception) -> Response:
    """A response that carries an error: ours with its code, anything else as INTERNAL with an id for the log."""
    known = error if isinstance(error, OcrError) else _unexpected(error)
    return pb_utils.InferenceResponse(
        error=pb_utils.TritonError(known.tagged, getattr(pb_utils.TritonError, known.code.name))
    )


def send_only(sender: Sender, answer: Response) -> None:
    """Answer a request with its one response."""
    sender.send(answer, flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)


def _unexpected(error: Exception) -> OcrError:
    identifier = uuid.uuid4().hex[:12]
    details = "".join(traceback.format_exception(error))
    pb_utils.Logger.log_error(f"unexpected error {identifier}: {details}")
    return InternalError(f"unexpected {type(error).__name__}; the server's log has the details under {identifier}")
