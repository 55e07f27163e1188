"""The one module that knows Triton's Python backend (`pb_utils`); importable only inside one of its models.

The stub fills `pb_utils` with most of its names only after it has imported the model, so they are looked up when
they are used.
"""

from __future__ import annotations

import json
import threading
import time
import traceback
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import triton_python_backend_utils as pb_utils

from ocrvl.engine.settings import SETTINGS_FILE, EngineSettings
from ocrvl.errors import InternalError, InvalidArgument, OcrError, error_from_tagged
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


def reader(request: Request | Response) -> Callable[[Tensor], Array]:
    """A function from a tensor's name to its array; raises `InvalidArgument` for one that is not there."""
    is_response = isinstance(request, pb_utils.InferenceResponse)
    find = pb_utils.get_output_tensor_by_name if is_response else pb_utils.get_input_tensor_by_name

    def read(name: Tensor) -> Array:
        tensor = find(request, name.value)
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


def send(sender: Sender, answer: Response) -> None:
    """Send one of several responses to a request."""
    sender.send(answer)


def send_last(sender: Sender, answer: Response | None = None) -> None:
    """End a request, with its only or last response or without one."""
    flags = pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL
    if answer is None:
        sender.send(flags=flags)
    else:
        sender.send(answer, flags=flags)


def call_decoupled(model: Model, request: Request, outputs: list[Tensor]) -> Iterator[Response]:
    """Pass a request's inputs on to a decoupled model and yield its responses as they come.

    Blocks the calling thread between responses (with the GIL released). Raises the error the model raised.
    """
    onward = pb_utils.InferenceRequest(
        model_name=model.value,
        request_id=request.request_id(),
        inputs=request.inputs(),
        requested_output_names=[name.value for name in outputs],
        preferred_memory=pb_utils.PreferredMemory(pb_utils.TRITONSERVER_MEMORY_CPU, 0),
    )
    answers = onward.exec(decoupled=True)
    try:
        for answer in answers:
            if answer.has_error():
                raise error_from_tagged(answer.error().message())
            if answer.output_tensors():
                yield answer
    finally:
        for _ in answers:  # what is left after an error; an iterator that is dropped earlier waits for it all the same
            pass
        _RETIRED.keep(answers)


class _RetiredIterators:
    """Keeps response iterators alive for a while after their last response.

    Once a decoupled call has ended, a thread of the stub drops its own reference to the call's iterator, without
    holding Python's lock. In Tritons before 24.12 the responses' arrays would be freed right there, if ours was gone
    by then: the heap is corrupted, and the stub dies or hands out other requests' memory. So ours goes last.
    """

    _SECONDS = 10.0

    def __init__(self) -> None:
        self._kept: deque[tuple[float, Any]] = deque()
        self._lock = threading.Lock()

    def keep(self, iterator: Any) -> None:
        now = time.monotonic()
        expired = []
        with self._lock:
            self._kept.append((now, iterator))
            while now - self._kept[0][0] > self._SECONDS:
                expired.append(self._kept.popleft())
        # freed here, outside the lock and with Python's held
        expired.clear()


_RETIRED = _RetiredIterators()


def log_info(message: str) -> None:
    """A line in the server's log."""
    pb_utils.Logger.log_info(message)


def _unexpected(error: Exception) -> OcrError:
    identifier = uuid.uuid4().hex[:12]
    details = "".join(traceback.format_exception(error))
    pb_utils.Logger.log_error(f"unexpected error {identifier}: {details}")
    return InternalError(f"unexpected {type(error).__name__}; the server's log has the details under {identifier}")
