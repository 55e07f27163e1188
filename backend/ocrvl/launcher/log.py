"""Reading Triton's log: which models are still loading, and why one did not."""

from __future__ import annotations

import re
import signal
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

_LOADING = re.compile(r'"loading: (?P<model>[\w.-]+):\d+"')
_LOADED = re.compile(r"\"successfully loaded '(?P<model>[\w.-]+)'")
_FAILED = re.compile(r"failed to load '(?P<model>[\w.-]+)' version \d+: (?P<cause>.*)")
_ENGINE_CAUSE = re.compile(
    r"\((?:EngineCore|Worker)[^)]*\) ERROR .*?\] (?P<cause>\w+(?:\.\w+)*(?:Error|Exception): .*)"
)
_SERVER_ERROR = re.compile(r"^(?:E\d{4} \S+ +\d+ \S+\] |error: )(?P<text>.*)")
_CRASH_SIGNAL = re.compile(r"Signal \((?P<number>\d+)\) received\.")
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_CRASH = re.compile(r"^terminate called after throwing an instance of '(?P<error>.*)'")
_HARMLESS = "CudaDriverHelper has not been initialized"
"""What Triton logs as an error wherever there is no GPU."""
_ENGINE_WRAPPER = "Engine core initialization failed"
_KEPT_LINES = 400
_WHERE = r"\n\nAt:"
"""What Triton puts, with these backslashes, between a Python model's error and its traceback."""

_HINTS: Final = {
    re.compile(pattern): hint
    for pattern, hint in {
        r"NCCL error|nccl(?:System|Internal|Remote|UnhandledCuda)Error": (
            "NCCL: the GPUs' processes could not connect. NCCL_DEBUG=INFO in the environment shows why; "
            "NCCL_SOCKET_IFNAME names the network interface to use; a container needs a larger /dev/shm than its "
            "default 64 MB (docker run --shm-size=8g, or an emptyDir in memory)"
        ),
        r"CUDA out of memory|CUDA error: out of memory|less than desired GPU memory utilization": (
            "GPU memory: lower gpu_memory_utilization or max_model_len in the engine's model.json, or end what else "
            "uses the GPU (nvidia-smi)"
        ),
        r"invalid device ordinal": (
            "GPUs: the configuration names more than this process sees. Compare gpus and tensor_parallel_size with "
            "nvidia-smi -L and CUDA_VISIBLE_DEVICES"
        ),
        r"terminate called after throwing an instance of 'boost::interprocess::lock_exception'": (
            "overload: Triton takes a process for dead that gives no sign of life for a second while it loads, and "
            "this version crashes over it. Start again when less is running on the machine"
        ),
        r"[Aa]ddress already in use|EADDRINUSE|Socket '[^']+' already in use": (
            "ports: end what listens there, or choose others (--http-port, --grpc-port, --metrics-port; for the "
            "engine's own processes the environment's VLLM_PORT)"
        ),
    }.items()
}
"""Errors that say what failed but not what to change, and what to change."""

SLOW_START_SECONDS: Final = 120.0
"""After which a start is worth a word to the operator; the embedded checkpoint takes 20 to 40 on two cores."""


def slow_start_hint(models: list[str]) -> str:
    """What an operator should know when models are still loading after `SLOW_START_SECONDS`."""
    return (
        f"still loading after {SLOW_START_SECONDS:.0f} s: {', '.join(models) or 'nothing that the log names'}. The "
        "download of a checkpoint and compilation take minutes; several GPUs that hang here often cannot reach one "
        "another, and the environment's NCCL_DEBUG=INFO shows it in the log"
    )


@dataclass
class LoadingLog:
    """Follows a starting server's log, a line at a time."""

    loading: set[str] = field(default_factory=set)
    loaded: set[str] = field(default_factory=set)
    crash: tuple[int, float] | None = None
    """The signal by which Triton says that it crashes, and when it said so: it writes down where first, and may hang
    over that."""
    clock: Callable[[], float] = time.monotonic
    _times: dict[str, float] = field(default_factory=dict)
    _causes: dict[str, str] = field(default_factory=dict)
    _engine_cause: str = ""
    _hints: list[str] = field(default_factory=list)
    _errors: deque[str] = field(default_factory=lambda: deque(maxlen=5))
    _tail: deque[str] = field(default_factory=lambda: deque(maxlen=_KEPT_LINES))

    def add(self, line: str) -> None:
        """Take in one line."""
        self._tail.append(line)
        self._hints += [hint for error, hint in _HINTS.items() if error.search(line) and hint not in self._hints]
        if match := _LOADING.search(line):
            self.loading.add(match["model"])
            self._times[match["model"]] = self.clock()
        elif match := _LOADED.search(line):
            self.loaded.add(match["model"])
            self._times[match["model"]] = self.clock() - self._times.get(match["model"], self.clock())
        elif (match := _CRASH_SIGNAL.fullmatch(line)) and int(match["number"]) not in _STOP_SIGNALS:
            self.crash = int(match["number"]), self.clock()
        elif match := _FAILED.search(line):
            self._causes.setdefault(match["model"], _unquote(match["cause"]))
        elif match := _ENGINE_CAUSE.search(line):
            # the first is the root: the others are raised because of it
            self._engine_cause = self._engine_cause or match["cause"].strip()
        elif match := _CRASH.search(line):
            loading = ", ".join(self.waiting_for) or "no model"
            self._errors.append(f"tritonserver crashed ({match['error']}) while it was loading {loading}")
        elif _HARMLESS not in line and (match := _SERVER_ERROR.search(line)):
            self._errors.append(_unquote(match["text"]))

    @property
    def waiting_for(self) -> list[str]:
        """Models that are loading and not yet loaded."""
        return sorted(self.loading - self.loaded - set(self._causes))

    def crashed_before(self, seconds: float) -> int | None:
        """The signal by which Triton said, at least so many seconds ago, that it crashes; None where it did not."""
        number, at = self.crash or (None, 0.0)
        return number if number and self.clock() - at >= seconds else None

    def slowest(self, count: int) -> list[tuple[str, float]]:
        """The models that took longest to load, with their seconds; they load side by side."""
        times = [(model, self._times[model]) for model in self.loaded]
        return sorted(times, key=lambda one: -one[1])[:count]

    def tail(self, lines: int) -> list[str]:
        """The last lines."""
        return list(self._tail)[-lines:]

    def causes(self) -> list[str]:
        """Why the server did not start, a line a cause; what Triton or the system said where no model is to blame.

        Hints at what to change follow, where the causes do not say it themselves.
        """
        lines = []
        for model, cause in sorted(self._causes.items()):
            if _ENGINE_WRAPPER in cause and self._engine_cause:
                cause = self._engine_cause
            lines.append(f"{model}: {cause}")
        return (lines or list(self._errors) or self.tail(5)) + [f"hint: {hint}" for hint in self._hints]


def _unquote(text: str) -> str:
    """A cause without Triton's status words and quotation marks, and without a Python model's traceback."""
    text = text.strip().strip('"').partition(_WHERE)[0]
    while match := re.match(r"(?:Internal|Invalid argument|Unavailable|Unknown|Not found)(?:: | - )", text):
        text = text[match.end() :]
    return text
