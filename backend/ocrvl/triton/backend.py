"""The one module that knows Triton's Python backend (`pb_utils`); importable only inside one of its models.

The stub fills `pb_utils` with most of its names only after it has imported the model, so they are looked up when
they are used.
"""

from __future__ import annotations

import ctypes
import gc
import json
import threading
import traceback
import uuid
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import triton_python_backend_utils as pb_utils

from ocrvl.errors import InternalError, InvalidArgument, OcrError, Unavailable, error_from_message
from ocrvl.messages import Array
from ocrvl.metrics.mirror import Family, Kind
from ocrvl.triton.log_writer import LogWriter
from ocrvl.wire import NO_SHARED_MEMORY, Model, Tensor

_SERVER_LOCK = threading.Lock()
"""Held by whoever writes to the server's log or asks it about a caller, see `LogWriter`."""

_LOG_WRITER = LogWriter(_SERVER_LOCK)

_TRACE_HEADERS = ("traceparent", "tracestate")

Request = Any
Response = Any
Sender = Any


class Tensors:
    """The input tensors of a request."""

    def __init__(self, request: Request) -> None:
        self._request = request

    def __call__(self, name: Tensor) -> Array:
        """The tensor of this name. Raises `InvalidArgument` for one that is missing."""
        array = self.optional(name)
        if array is None:
            raise InvalidArgument(f"the tensor {name} is missing")
        return array

    def optional(self, name: Tensor) -> Array | None:
        """The tensor of this name, None where the caller left it out."""
        tensor = pb_utils.get_input_tensor_by_name(self._request, name.value)
        return None if tensor is None else tensor.as_numpy()


class InferenceRequest:
    """A request that is answered by what `execute` returns."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self.read = Tensors(request)

    @property
    def request_id(self) -> str:
        """The caller's id, empty where it gave none."""
        return str(self._request.request_id())

    @property
    def timeout(self) -> float | None:
        """Seconds that the request may take; None where it does not say."""
        microseconds = int(self._request.timeout())
        return microseconds / 1e6 if microseconds else None

    @cached_property
    def parameters(self) -> dict[str, Any]:
        """The request's parameters: those of the caller, and headers that the server was told to forward."""
        return dict(json.loads(self._request.parameters() or "{}"))

    @cached_property
    def trace_headers(self) -> dict[str, str]:
        """W3C trace context: where Triton traces the request itself, its span, else what the caller sent as headers.

        Triton's span belongs to the caller's trace too, so what hangs below it is in both.
        """
        return self._own_trace() or {
            key.lower(): str(value) for key, value in self.parameters.items() if key.lower() in _TRACE_HEADERS
        }

    def inputs(self) -> list[Any]:
        """The tensors as Triton gave them."""
        return list(self._request.inputs())

    def is_abandoned(self) -> bool:
        """Whether the caller has gone away, as far as Triton knows: not for requests inside an ensemble."""
        with _SERVER_LOCK:
            return bool(self._request.is_cancelled())

    def _own_trace(self) -> dict[str, str]:
        trace = self._request.trace() if hasattr(self._request, "trace") else None
        context = trace.get_context() if trace is not None and hasattr(trace, "get_context") else None
        return {key: str(value) for key, value in json.loads(context or "{}").items() if key in _TRACE_HEADERS}


def response(tensors: Mapping[Tensor, Array]) -> Response:
    """A response with these output tensors."""
    return pb_utils.InferenceResponse([pb_utils.Tensor(name.value, array) for name, array in tensors.items()])


def error_response(error: Exception) -> Response:
    """A response that carries an error: ours with its code, anything else as INTERNAL with an id for the log."""
    known = error if isinstance(error, OcrError) else unexpected(error)
    return pb_utils.InferenceResponse(
        error=pb_utils.TritonError(known.tagged, getattr(pb_utils.TritonError, known.code.name))
    )


class Call(InferenceRequest):
    """A request that is answered through its response sender, by any thread; after the last answer nothing is sent.

    The lock keeps a look at the caller apart from the last answer: the server frees what it would look at.
    """

    def __init__(self, request: Request) -> None:
        super().__init__(request)
        self._sender = request.get_response_sender()
        self._lock = threading.Lock()
        self._is_answered = False

    def is_abandoned(self) -> bool:
        """Whether the caller has gone away, as far as Triton knows: not for requests inside an ensemble."""
        with _SERVER_LOCK, self._lock:
            return not self._is_answered and bool(self._sender.is_cancelled())

    def send(self, tensors: Mapping[Tensor, Array]) -> None:
        """Send one of several responses (decoupled models alone)."""
        with self._lock:
            if not self._is_answered:
                self._sender.send(response(tensors))

    def answer(self, tensors: Mapping[Tensor, Array]) -> None:
        """Send the last response."""
        self._finish(response(tensors))

    def fail(self, error: Exception) -> None:
        """Send an error, which is the last response."""
        self._finish(error_response(error))

    def end(self) -> None:
        """End without a further response (decoupled models alone)."""
        self._finish(None)

    def _finish(self, last: Response | None) -> None:
        with self._lock:
            if self._is_answered:
                return
            self._is_answered = True
            if last is None:
                self._sender.send(flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
            else:
                self._sender.send(last, flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)


def finish() -> None:
    """The last thing that a model does: its lines are in the log, and requests that only cycles still hold are freed.

    Left to the interpreter's end they would be freed after the memory that they share with the server, and those that
    had been asked whether they are cancelled then end the stub with a segmentation fault (seen with Triton 2.51).
    """
    _LOG_WRITER.flush()
    gc.collect()


async def call_model(
    call: Call,
    model: Model,
    inputs: Mapping[Tensor, Array] | None,
    outputs: Sequence[Tensor],
    parameters: Mapping[str, str | bool],
) -> Callable[[Tensor], Array]:
    """Call another model of this server for `call`, as part of its trace; its outputs by their names.

    Without `inputs` it gets those of `call`, as they are. Raises `OcrError`. Each call holds a thread of the event
    loop's default executor here and one of the server's until it is answered.
    """
    tensors = (
        [pb_utils.Tensor(name.value, array) for name, array in inputs.items()] if inputs is not None else call.inputs()
    )
    # Triton is not handed the trace as such: the request it began with may be released by now, and its trace freed
    request = pb_utils.InferenceRequest(
        model_name=model.value,
        requested_output_names=[output.value for output in outputs],
        inputs=tensors,
        request_id=call.request_id,
        parameters={**call.trace_headers, **parameters},
    )
    answer = await request.async_exec()
    if answer.has_error():
        raise error_from_message(answer.error().message())
    return lambda name: pb_utils.get_output_tensor_by_name(answer, name.value).as_numpy()


class Logger:
    """The server's log. Warnings are written at once, what is as it should be a few milliseconds later."""

    def verbose(self, line: str) -> None:
        """A line for those who look for something; Triton leaves it out unless `log_verbose_level` is 1 or more."""
        _LOG_WRITER.add(pb_utils.Logger.log_verbose, line)

    def info(self, line: str) -> None:
        """A line about what is as it should be."""
        _LOG_WRITER.add(pb_utils.Logger.log_info, line)

    def warning(self, line: str) -> None:
        """A line that an operator should see."""
        pb_utils.Logger.log_warn(line)


class LastingFamily:
    """A family of series at Triton's `/metrics` that stays there, with its series, until the server ends.

    Triton has one series for all who name it alike, as two versions of a model do while one takes over from the other,
    and the first of them that takes its own back frees what the other still writes to: Triton 2.51 dies of it. So
    nothing is ever taken back, not even at the end of the process.
    """

    def __init__(self, family: Any) -> None:
        self._family = _keep(family)

    def Metric(self, *, labels: Mapping[str, str]) -> Any:  # noqa: N802 - Triton's name
        """The series with these labels, at 0 where it is new."""
        return _keep(self._family.Metric(labels=labels))


def metric_family(name: str, description: str, kind: Kind) -> Family:
    """A family of series at Triton's `/metrics`; raises where the server was built without metrics."""
    kinds = {Kind.COUNTER: pb_utils.MetricFamily.COUNTER, Kind.GAUGE: pb_utils.MetricFamily.GAUGE}
    return LastingFamily(pb_utils.MetricFamily(name=name, description=description, kind=kinds[kind]))


def _keep(thing: Any) -> Any:
    """The thing, with a reference that is never released, so that it is never destroyed."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))
    return thing


def unexpected(error: Exception) -> OcrError:
    """The error for a caller of what nobody foresaw, which the log has under an id; too little memory is a refusal."""
    if isinstance(error, MemoryError) or NO_SHARED_MEMORY in str(error):
        return Unavailable("the server has not the memory for it now: send a smaller image, or try again later")
    identifier = uuid.uuid4().hex[:12]
    details = "".join(traceback.format_exception(error))
    pb_utils.Logger.log_error(f"unexpected error {identifier}: {details}")
    return InternalError(f"unexpected {type(error).__name__}; the server's log has the details under {identifier}")
