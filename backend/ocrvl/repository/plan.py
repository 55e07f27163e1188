"""What follows from the options on this machine: engines, cores, instances, queues, and the reasons."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from ocrvl.engine_settings import GPU_MEMORY
from ocrvl.launcher.interfaces import models_of
from ocrvl.repository.checks import Checkpoint
from ocrvl.repository.engine_args import parse_engine_args
from ocrvl.repository.options import Device, OptionRefused, Parallel, RepositoryOptions
from ocrvl.wire import Model

STREAM_CALLS: Final = 24
"""Calls that one instance of `ocr_stream` carries at a time.

The Python backend serves a model's calls to other models from a pool of 32 threads, which their responses need too.
"""

_MAX_PREPROCESS_INSTANCES: Final = 16
_QUEUED_PER_SEQUENCE: Final = 2
_DEFAULT_MAX_LENGTH: Final = 8192
"""Tokens: the largest image (2,048, when spotting), the longest answer (4,096) and room for a prompt."""

_GPU_ARGUMENTS: Final = {"max_num_batched_tokens": 16_384}
"""VLLM's recipe for this model."""

_CPU_ARGUMENTS: Final = {"max_num_batched_tokens": 4096, "enforce_eager": True}
"""Small steps and no compilation: a CPU is for demos and tests, where starting quickly counts."""


@dataclass(frozen=True)
class Size:
    """A number that is written into the repository, and where it comes from."""

    name: str
    value: int
    reason: str


@dataclass(frozen=True)
class Plan:
    """Everything that is rendered. `cores` are the numbers of the processor's cores that may be used.

    Raises `OptionRefused` where checkpoint or machine do not allow these options.
    """

    options: RepositoryOptions
    checkpoint: Checkpoint
    cores: tuple[int, ...]

    def __post_init__(self) -> None:
        self._check_cores()
        self._check_length()
        self._check_tensor_size()

    @property
    def tensor_parallel_size(self) -> int:
        """Devices over which each engine is split."""
        return self.options.devices if self.options.parallel is Parallel.TENSOR else 1

    @property
    def engines(self) -> int:
        """Engines, each with a scheduler of its own."""
        return self.options.devices * self.options.engines_on_a_gpu // self.tensor_parallel_size

    @property
    def placement(self) -> str:
        """Where the engines run, in words."""
        options = self.options
        on = "CPU" if options.device is Device.CPU else f"GPU {', '.join(map(str, options.gpu_numbers))}"
        cores = f", cores {self.cpu_cores}" if self.cpu_cores else ""
        mode = f", {options.parallel} parallel" if options.devices > 1 else ""
        shared = f", {options.engines_on_a_gpu} on each GPU" if options.engines_on_a_gpu > 1 else ""
        return f"{on}{cores}{mode}{shared}"

    @property
    def models(self) -> tuple[Model, ...]:
        """The models that the interfaces need."""
        return models_of(self.options.interfaces)

    @property
    def engine_args(self) -> dict[str, Any]:
        """VLLM's engine arguments, the contents of `model.json`."""
        options = self.options
        on_gpu = options.device is Device.GPU
        args = {
            "model": self.checkpoint.name,
            "dtype": options.dtype or ("auto" if on_gpu else "float32"),
            "max_model_len": options.max_model_len or self._default_length,
            "max_num_seqs": options.max_num_seqs,
            **(_GPU_ARGUMENTS if on_gpu else _CPU_ARGUMENTS),
        }
        if options.gpu_memory_utilization is not None:
            args["gpu_memory_utilization"] = options.gpu_memory_utilization
        elif options.engines_on_a_gpu > 1:
            args["gpu_memory_utilization"] = _share(options.engines_on_a_gpu)
        if self.tensor_parallel_size > 1:
            args["tensor_parallel_size"] = self.tensor_parallel_size
        return {**args, **parse_engine_args(options.engine_args)}

    @property
    def cpu_cores(self) -> str:
        """The cores of each engine or rank on a CPU, as VLLM_CPU_OMP_THREADS_BIND has them: `0-3|4-7`.

        Empty on GPUs, and for one engine, which vLLM binds to its cores better than a list could.
        """
        parts = self.options.devices
        if self.options.device is Device.GPU or parts == 1:
            return ""
        cores = sorted(self.cores)
        bounds = [len(cores) * part // parts for part in range(parts + 1)]
        return "|".join(_as_ranges(cores[low:high]) for low, high in pairwise(bounds))

    @property
    def preprocess_instances(self) -> Size:
        """Processes that decode images."""
        name, given = "preprocess instances", self.options.preprocess_instances
        busy = self.engines * self.tensor_parallel_size
        if given is not None:
            return Size(name, given, "--preprocess-instances")
        spare = len(self.cores) - busy
        reason = f"{len(self.cores)} cores less {busy} for engines, at least 1, at most {_MAX_PREPROCESS_INSTANCES}"
        return Size(name, min(max(1, spare), _MAX_PREPROCESS_INSTANCES), reason)

    @property
    def stream_instances(self) -> Size:
        """Processes that carry streaming calls: enough to fill the engines, and an eighth more to keep them full."""
        sequences = self.options.max_num_seqs
        calls = self.engines * (sequences + sequences // 8)
        reason = f"{calls} calls keep the engines full, one instance carries {STREAM_CALLS}"
        return Size("ocr_stream instances", -(-calls // STREAM_CALLS), reason)

    @property
    def queue_size(self) -> Size:
        """Requests that may wait for preprocessing; one more is refused at once."""
        name, given, sequences = "queue size", self.options.queue_size, self.options.max_num_seqs
        if given is not None:
            return Size(name, given, "--queue-size")
        value = _QUEUED_PER_SEQUENCE * self.engines * sequences
        return Size(name, value, f"{_QUEUED_PER_SEQUENCE} x engines ({self.engines}) x --max-num-seqs ({sequences})")

    @property
    def sizes(self) -> tuple[Size, ...]:
        """The sizes that are written, in the order of the models they are for."""
        stream = (self.stream_instances,) if Model.STREAM in self.models else ()
        return (self.preprocess_instances, self.queue_size, *stream)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What an operator should know and may accept."""
        shape, size = self.checkpoint.shape, self.tensor_parallel_size
        unknown = (
            f"{self.checkpoint.name} is not on this machine: whether it can be split over these devices, and is made "
            "for sequences this long, is checked when an engine starts"
        )
        copied = (
            f"tensor parallel over {size} devices: the model has {shape and shape.kv_heads} key-value heads, more "
            "devices than that only copy them, so data parallel is usually better"
        )
        if shape is None:
            return (unknown,)
        return (copied,) if shape.kv_heads and size > shape.kv_heads else ()

    @property
    def _default_length(self) -> int:
        shape = self.checkpoint.shape
        return min(_DEFAULT_MAX_LENGTH, (shape and shape.max_length) or _DEFAULT_MAX_LENGTH)

    def _check_cores(self) -> None:
        devices = self.options.devices
        if self.options.device is Device.CPU and devices > len(self.cores):
            raise OptionRefused(f"--engines: {devices} need a core each, and {len(self.cores)} cores may be used here")

    def _check_length(self) -> None:
        shape, requested = self.checkpoint.shape, self.options.max_model_len
        if shape and requested and shape.max_length and requested > shape.max_length:
            raise OptionRefused(
                f"--max-model-len: {requested} is more than the {shape.max_length} tokens that the checkpoint "
                "is made for (text_config.max_position_embeddings)"
            )

    def _check_tensor_size(self) -> None:
        shape, size = self.checkpoint.shape, self.tensor_parallel_size
        if shape and (reason := shape.why_not(size)):
            how_many = "--gpus" if self.options.device is Device.GPU else "--engines"
            sizes = ", ".join(map(str, shape.tensor_sizes))
            raise OptionRefused(
                f"--parallel: tensor over {size} devices ({how_many}): {reason}; numbers of devices that work for "
                f"this checkpoint: {sizes}"
            )


def _share(engines: int) -> float:
    """What each of some engines may take of the GPU that they share, so that together they take what one would.

    >>> _share(2)
    0.45
    """
    return math.floor(100 * GPU_MEMORY / engines) / 100


def _as_ranges(cores: list[int]) -> str:
    """Core numbers, ascending, as ranges.

    >>> _as_ranges([0, 1, 2, 5])
    '0-2,5'
    """
    ranges: list[list[int]] = []
    for core in cores:
        if ranges and core == ranges[-1][-1] + 1:
            ranges[-1][1:] = [core]
        else:
            ranges.append([core])
    return ",".join("-".join(map(str, bounds)) for bounds in ranges)
