"""The facts of the machine and of its Python environment."""

from __future__ import annotations

import locale
import os
import platform
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, distributions, requires
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from ocrvl_cli.diagnostics.facts import Gpu, Machine, Software

_QUERY: Final = "index,name,memory.total,memory.free,driver_version"
_SMI_SECONDS: Final = 20.0
"""A driver that hangs is a finding."""

_SHARED_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - where POSIX shared memory is on Linux
_CGROUP: Final = Path("/sys/fs/cgroup")


def gather_machine(ports: Sequence[int]) -> Machine:
    """The facts of this machine; `ports` are those to look at."""
    gpus, problem = _query_gpus()
    cache = Path(os.environ.get("HF_HOME") or Path.home() / ".cache/huggingface")
    from ocrvl.launcher import mps

    folders = {_existing(folder) for folder in (cache, Path(tempfile.gettempdir()))}
    return Machine(
        gpus=gpus,
        gpu_problem=problem,
        visible_devices=os.environ.get("CUDA_VISIBLE_DEVICES"),
        shared_memory=_free(_SHARED_MEMORY),
        memory=_available_memory(),
        cores=_cores(),
        free_disk={str(folder): _free(folder) for folder in sorted(folders)},
        ports=tuple(ports),
        taken_ports=tuple(port for port in ports if _is_taken(port)),
        has_utf8_locale=_has_utf8_locale(),
        has_mps=mps.is_running(os.environ) or bool(shutil.which(mps.CONTROL)),
    )


def gather_software() -> Software:
    """The facts of this Python environment; no heavy package is imported for it."""
    versions = {re.sub(r"[-_.]+", "-", found.name).lower(): found.version for found in distributions() if found.name}
    extras = {"server", "layout"} | ({"triton"} if "nvidia-pytriton" in versions else set())
    triton, problem = _find_triton()
    return Software(
        python=f"{platform.python_version()} at {sys.executable}",
        versions=versions,
        requirements=_requirements(extras),
        torch_cuda=_torch_cuda(),
        undrawn_scripts=_undrawn_scripts(),
        triton=triton,
        triton_problem=problem,
    )


def parse_gpus(text: str) -> tuple[Gpu, ...]:
    r"""The GPUs in what nvidia-smi prints as CSV without units; lines in another form are left out.

    >>> parse_gpus("0, NVIDIA H100 80GB HBM3, 81559, 80995, 580.95.05\nNo devices were found\n")
    (Gpu(index=0, name='NVIDIA H100 80GB HBM3', total_mib=81559, free_mib=80995, driver='580.95.05'),)
    """
    found = re.findall(r"^(\d+), (.+), (\d+), (\d+), (\S+)$", text, re.MULTILINE)
    return tuple(Gpu(int(index), name, int(total), int(free), driver) for index, name, total, free, driver in found)


def parse_available_memory(meminfo: str, limit: str, used: str) -> int:
    r"""Bytes available: the machine's (`/proc/meminfo`) or, if less, what a cgroup's limit leaves.

    >>> parse_available_memory("MemTotal: 9 kB\nMemAvailable:       8 kB\n", "max", "5")
    8192
    >>> parse_available_memory("MemAvailable:       8 kB\n", "6000", "2000")
    4000
    """
    match = re.search(r"^MemAvailable:\s+(\d+) kB", meminfo, re.MULTILINE)
    available = int(match[1]) * 1024 if match else 0
    if limit.strip().isdecimal() and used.strip().isdecimal():
        return min(available, max(0, int(limit) - int(used)))
    return available


def _query_gpus() -> tuple[tuple[Gpu, ...], str]:
    command = shutil.which("nvidia-smi")
    if command is None:
        has_device = Path("/dev/nvidiactl").exists()
        return (), "there is an NVIDIA device, but no nvidia-smi" if has_device else ""
    arguments = [command, f"--query-gpu={_QUERY}", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(arguments, capture_output=True, text=True, timeout=_SMI_SECONDS, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired) as error:
        return (), f"nvidia-smi failed: {error}"
    if done.returncode:
        return (), f"nvidia-smi failed: {' '.join((done.stdout + done.stderr).split())[:200]}"
    return parse_gpus(done.stdout), ""


def _find_triton() -> tuple[str, str]:
    if find_spec("ocrvl.launcher") is None:
        return "", ""
    from ocrvl.launcher.locate import TritonNotFound, find_triton

    try:
        return str(find_triton().binary), ""
    except TritonNotFound as error:
        return "", str(error)


def _undrawn_scripts() -> tuple[str, ...]:
    if find_spec("ocrvl.models.document") is None or find_spec("pypdfium2") is None:
        return ()
    from ocrvl.models.document.glyphs import undrawn_scripts

    return tuple(undrawn_scripts())


def _requirements(extras: set[str]) -> tuple[str, ...]:
    """The requirements of these extras of this package."""
    try:
        required = requires("ocrvl") or []
    except PackageNotFoundError:
        return ()
    parts = [requirement.partition(";") for requirement in required]
    return tuple(
        requirement.strip()
        for requirement, _, marker in parts
        if any(f"extra == '{extra}'" in marker.replace('"', "'") for extra in extras)
    )


def _torch_cuda() -> str | None:
    """The version of CUDA that torch was built for, read from its file: importing it takes seconds."""
    spec = find_spec("torch")
    if spec is None or spec.origin is None:
        return None
    text = (Path(spec.origin).parent / "version.py").read_text("utf-8")
    match = re.search(r"^cuda(?::[^=]+)? = '([\d.]+)'", text, re.MULTILINE)
    return match[1] if match else ""


def _available_memory() -> int:
    files = (Path("/proc/meminfo"), _CGROUP / "memory.max", _CGROUP / "memory.current")
    return parse_available_memory(*map(_read, files))


def _cores() -> int:
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    quota, _, period = _read(_CGROUP / "cpu.max").partition(" ")
    if quota.isdecimal() and period.strip().isdecimal():
        cores = min(cores, max(1, int(quota) // int(period)))
    return cores


def _read(path: Path) -> str:
    with suppress(OSError):
        return path.read_text("utf-8")
    return ""


def _free(folder: Path) -> int:
    with suppress(OSError):
        return shutil.disk_usage(folder).free
    return 0


def _existing(folder: Path) -> Path:
    """The folder, or the nearest above it that is there."""
    return next((path for path in (folder, *folder.parents) if path.is_dir()), Path("/"))


def _is_taken(port: int) -> bool:
    with socket.socket() as one:
        one.settimeout(1)
        return one.connect_ex(("127.0.0.1", port)) == 0


def _has_utf8_locale() -> bool:
    before = locale.setlocale(locale.LC_CTYPE)
    try:
        locale.setlocale(locale.LC_CTYPE, "C.UTF-8")
    except locale.Error:
        return False
    locale.setlocale(locale.LC_CTYPE, before)
    return True
