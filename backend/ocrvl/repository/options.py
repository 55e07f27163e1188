"""The options of `ocrvl repository`: read once, and refused by name where they cannot be met."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeVar

from ocrvl.launcher.interfaces import Interface

DTYPES: Final = ("auto", "bfloat16", "float16", "float32")
"""Types that vLLM computes this model in; `auto` is the checkpoint's own."""

MAX_NUM_SEQS: Final = 4096
"""Four times vLLM's own default on large GPUs; not above the tokens of a step, which vLLM would refuse."""

_MAX_INSTANCES: Final = 1024
"""Processes of one model: what a large host has cores for."""

_MAX_DOCUMENTS: Final = 64
"""Of `DocumentSettings`."""

_INT32: Final = 2**31 - 1
_UINT32: Final = 2**32 - 1
_MAX_TIMEOUT_SECONDS: Final = 86_400.0


class OptionRefused(ValueError):
    """An option that cannot be met; the message begins with its name and says what to change."""


class Device(StrEnum):
    """What the engines run on."""

    GPU = "gpu"
    CPU = "cpu"


class Parallel(StrEnum):
    """How several devices are used. `data`: an engine on each; `tensor`: one engine, each layer split over all."""

    DATA = "data"
    TENSOR = "tensor"


@dataclass(frozen=True)
class RepositoryOptions:
    """The arguments of the command; None where a value follows from the others (`ocrvl.repository.plan`).

    `engine_args` are words `NAME=VALUE` (`ocrvl.repository.engine_args`).

    Raises `OptionRefused`.
    """

    checkpoint: str
    device: Device = Device.GPU
    gpus: tuple[int, ...] | None = None
    engines: int | None = None
    parallel: Parallel = Parallel.DATA
    interfaces: tuple[Interface, ...] = tuple(Interface)
    max_num_seqs: int = 64
    max_model_len: int | None = None
    dtype: str | None = None
    gpu_memory_utilization: float | None = None
    preprocess_instances: int | None = None
    queue_size: int | None = None
    queue_timeout_seconds: float | None = None
    document_queue_size: int | None = None
    max_documents: int | None = None
    max_request_bytes: int | None = None
    max_file_bytes: int | None = None
    engine_args: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self._check_device()
        if not self.checkpoint:
            raise OptionRefused("--checkpoint: name nano, a folder or a hub id (owner/name)")
        if not self.interfaces:
            raise OptionRefused(f"--interface: name one or more of {', '.join(Interface)}")
        if self.dtype is not None and self.dtype not in DTYPES:
            raise OptionRefused(f"--dtype: {self.dtype!r} is not one of {', '.join(DTYPES)}")
        _check_range("--engines", self.engines, 1, _MAX_INSTANCES)
        _check_range("--max-num-seqs", self.max_num_seqs, 1, MAX_NUM_SEQS)
        _check_range("--max-model-len", self.max_model_len, 1, _INT32)
        _check_range("--preprocess-instances", self.preprocess_instances, 1, _MAX_INSTANCES)
        # to Triton, a queue of size 0 is one without a limit
        _check_range("--queue-size", self.queue_size, 1, _UINT32)
        _check_range("--document-queue-size", self.document_queue_size, 1, _UINT32)
        _check_range("--max-documents", self.max_documents, 1, _MAX_DOCUMENTS)
        _check_range("--max-request-bytes", self.max_request_bytes, 1, _INT32)
        _check_range("--max-file-bytes", self.max_file_bytes, 1, _INT32)
        fraction, seconds = self.gpu_memory_utilization, self.queue_timeout_seconds
        # written so that NaN is refused too
        if fraction is not None and not 0 < fraction <= 1:
            raise OptionRefused(f"--gpu-memory-utilization: {fraction} is not above 0 and at most 1")
        if seconds is not None and not 1e-6 <= seconds <= _MAX_TIMEOUT_SECONDS:
            raise OptionRefused(
                f"--queue-timeout-seconds: {seconds} is not above 0 and at most {_MAX_TIMEOUT_SECONDS:.0f} (a day)"
            )

    @property
    def gpu_numbers(self) -> tuple[int, ...]:
        """The GPUs that are used: those that were named, or the first; none on a CPU."""
        if self.device is Device.CPU:
            return ()
        return (0,) if self.gpus is None else self.gpus

    @property
    def devices(self) -> int:
        """GPUs, or engines or ranks on a CPU."""
        return len(self.gpu_numbers) or self.engines or 1

    @property
    def engines_on_a_gpu(self) -> int:
        """Engines that share each GPU."""
        return (self.engines or 1) if self.device is Device.GPU else 1

    def arguments(self) -> list[str]:
        """The command's options that mean the same, word for word."""
        values = {
            "--checkpoint": self.checkpoint,
            "--device": self.device.value,
            "--gpus": ",".join(map(str, self.gpu_numbers)) or None,
            "--engines": self.engines,
            "--parallel": self.parallel.value,
            "--max-num-seqs": self.max_num_seqs,
            "--max-model-len": self.max_model_len,
            "--dtype": self.dtype,
            "--gpu-memory-utilization": self.gpu_memory_utilization,
            "--preprocess-instances": self.preprocess_instances,
            "--queue-size": self.queue_size,
            "--queue-timeout-seconds": self.queue_timeout_seconds,
            "--document-queue-size": self.document_queue_size,
            "--max-documents": self.max_documents,
            "--max-request-bytes": self.max_request_bytes,
            "--max-file-bytes": self.max_file_bytes,
        }
        given = [(option, str(value)) for option, value in values.items() if value is not None]
        given += [("--interface", interface.value) for interface in self.interfaces]
        given += [("--engine-arg", word) for word in self.engine_args]
        return [word for pair in given for word in pair]

    def _check_device(self) -> None:
        if self.device is Device.GPU:
            if self.engines_on_a_gpu > 1 and self.parallel is Parallel.TENSOR:
                raise OptionRefused("--engines: several engines on a GPU are for --parallel data")
            _check_gpus(self.gpu_numbers)
            return
        if self.gpus is not None:
            raise OptionRefused("--gpus: is for --device gpu; on a CPU --engines says how many there are")
        if self.gpu_memory_utilization is not None:
            raise OptionRefused(
                "--gpu-memory-utilization: is for --device gpu; on a CPU the environment variable "
                "VLLM_CPU_KVCACHE_SPACE says how many GiB the KV cache takes"
            )


def parse_gpus(text: str) -> tuple[int, ...]:
    """The numbers of a list such as `0,1,2,3`. Raises `OptionRefused`.

    >>> parse_gpus("0, 2")
    (0, 2)
    """
    parts = [part.strip() for part in text.split(",")]
    for part in parts:
        if not part:
            raise OptionRefused("--gpus: a number is missing: expected numbers with commas, such as 0,1")
        if part.startswith("-") and part[1:].isdecimal():
            raise OptionRefused(f"--gpus: {part} is negative: GPUs are counted from 0")
        if not (part.isascii() and part.isdecimal()):
            raise OptionRefused(f"--gpus: {part!r} is not a number: expected numbers with commas, such as 0,1")
    return tuple(int(part) for part in parts)


def parse_parallel(text: str) -> Parallel:
    """The member of this name. Raises `OptionRefused`, for `pipeline` with the reason."""
    if text == "pipeline":
        raise OptionRefused(
            "--parallel: pipeline is not possible: vLLM's class of this model "
            "(PaddleOCRVLForConditionalGeneration) does not implement SupportsPP; choose data or tensor"
        )
    return parse_choice("--parallel", text, Parallel)


Choice = TypeVar("Choice", bound=StrEnum)


def parse_choice(option: str, text: str, choices: type[Choice]) -> Choice:
    """The member of this name. Raises `OptionRefused` with the names there are."""
    try:
        return choices(text)
    except ValueError:
        raise OptionRefused(f"{option}: {text!r} is not one of {', '.join(choices)}") from None


def _check_gpus(numbers: tuple[int, ...]) -> None:
    if not numbers:
        raise OptionRefused("--gpus: name one GPU or more, such as 0,1")
    for number in numbers:
        _check_range("--gpus", number, 0, _INT32)
        if numbers.count(number) > 1:
            raise OptionRefused(f"--gpus: {number} is named twice: --engines says how many engines share each")


def _check_range(option: str, value: int | None, low: int, high: int) -> None:
    if value is not None and not low <= value <= high:
        raise OptionRefused(f"{option}: {value} is not between {low} and {high}")
