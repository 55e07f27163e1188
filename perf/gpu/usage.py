"""What a measurement costs: processor seconds by process, and how busy the GPU is."""

from __future__ import annotations

import re
import shutil
import statistics
import subprocess
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

import psutil

_SAMPLE_MS: Final = 200
_STUB_MODEL: Final = re.compile(r"/(?P<model>\w+)/\d+/model\.py")


def role_of(command: Sequence[str]) -> str:
    """What a process is, by its command line.

    >>> role_of(["/t/triton_python_backend_stub", "/r/preprocess/1/model.py", "x"])
    'stub of preprocess'
    >>> role_of(["VLLM::EngineCore"])
    'EngineCore'
    >>> role_of(["/usr/bin/python3", "-m", "vllm.entrypoints.openai.api_server", "--port=1"])
    'api_server'
    """
    line = " ".join(command)
    if "triton_python_backend_stub" in line:
        found = _STUB_MODEL.search(line)
        return f"stub of {found['model']}" if found else "stub"
    for name in ("EngineCore", "VLLM::Worker", "APIServer", "api_server", "vllm.entrypoints.cli", "tritonserver"):
        if name in line:
            return name
    return "other"


def processor_seconds(root: int) -> dict[str, float]:
    """Seconds that a process ("client") and those below it have computed so far, by their roles."""
    seconds: dict[str, float] = defaultdict(float)
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(root)
        seconds["client"] = _seconds(process)
        for child in process.children(recursive=True):
            with suppress(psutil.Error):
                seconds[role_of(child.cmdline())] += _seconds(child)
    return dict(seconds)


def _seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


@dataclass(frozen=True)
class GpuUse:
    """Means over a stretch of time and over GPUs: the share of it in which a kernel ran, MiB in use, watts."""

    busy: float
    memory_mib: float
    watts: float


@dataclass
class GpuWatch:
    """Samples all GPUs by `nvidia-smi`, in a `with` block; has nothing to say where there is none."""

    _samples: list[tuple[float, int, GpuUse]] = field(default_factory=list)
    _process: subprocess.Popen[str] | None = None

    def __enter__(self) -> GpuWatch:
        if program := shutil.which("nvidia-smi"):
            query = "--query-gpu=index,utilization.gpu,memory.used,power.draw"
            command = [program, query, "--format=csv,noheader,nounits", f"--loop-ms={_SAMPLE_MS}"]
            self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603
            threading.Thread(target=self._follow, args=(self._process,), daemon=True).start()
        return self

    def __exit__(self, *_error: object) -> None:
        if self._process:
            self._process.kill()
            self._process.wait()

    def between(self, began: float, ended: float, gpus: int = 1) -> GpuUse | None:
        """Means of the first GPUs' samples between two times of `time.monotonic`; None where there is none."""
        inside = [use for at, gpu, use in list(self._samples) if gpu < gpus and began <= at <= ended]
        if not inside:
            return None
        columns = zip(*((use.busy, use.memory_mib, use.watts) for use in inside), strict=True)
        return GpuUse(*map(statistics.fmean, columns))

    def _follow(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            # a value that the driver does not tell is "[N/A]"
            with suppress(ValueError):
                gpu, busy, memory, watts = map(float, line.split(","))
                self._samples.append((time.monotonic(), int(gpu), GpuUse(busy / 100, memory, watts)))


def gpu_memory_by_role(root: int) -> dict[str, int]:
    """MiB of GPU memory of a process and those below it, by their roles; empty where there is no GPU."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return {}
    query = [program, "--query-compute-apps=pid,used_memory", "--format=csv,noheader,nounits"]
    listed = subprocess.run(query, capture_output=True, text=True, check=False).stdout  # noqa: S603
    memory: Counter[str] = Counter()
    roles = {root: "client"}
    with suppress(psutil.NoSuchProcess):
        for child in psutil.Process(root).children(recursive=True):
            with suppress(psutil.Error):
                roles[child.pid] = role_of(child.cmdline())
    for line in listed.splitlines():
        pid, _, used = line.partition(",")
        if used.strip().isdecimal() and int(pid) in roles:
            memory[roles[int(pid)]] += int(used)
    return dict(memory)
