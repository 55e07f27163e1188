"""Checks of the machine: GPUs, memory, cores, disk, ports, locale."""

from __future__ import annotations

from typing import Final

from ocrvl_cli.diagnostics.facts import Facts
from ocrvl_cli.diagnostics.findings import Finding, fail, ok, warn

_GIB: Final = 1 << 30
_MIB: Final = 1 << 20

_DRIVERS: Final = {12: 525, 13: 580}
"""The oldest driver for each major version of CUDA, by NVIDIA's table of minor version compatibility."""

_SHARED_MEMORY: Final = (256 * _MIB, _GIB)
"""Below the first requests fail: each of Triton's Python models maps some, and images travel through it. Containers
have 64 MiB by default."""

_MEMORY: Final = (2 * _GIB, 4 * _GIB)
"""The embedded default: 1.1 GB the engine, 1 GiB its KV cache, 1.3 GB the models of documents, the rest of Triton."""

_DISK: Final = (256 * _MIB, 5 * _GIB)
"""A checkpoint of PaddleOCR-VL is 2 GB, and logs and sockets need some."""


def check_gpus(facts: Facts) -> Finding:
    """GPUs and their driver."""
    machine, needed = facts.machine, facts.repository.needs_gpus
    if machine.gpu_problem:
        level = fail if needed else warn
        return level("GPU", machine.gpu_problem, "install NVIDIA's driver, or start the container with --gpus all")
    if not machine.gpus:
        if needed:
            return fail("GPU", "none, and the repository needs some", "render one with: ocrvl repository --device cpu")
        return ok("GPU", "none; engines run on the CPU")
    detail = ", ".join(f"{gpu.index}: {gpu.name}, {gpu.total_mib / 1024:.0f} GiB" for gpu in machine.gpus)
    driver, built_for = machine.gpus[0].driver, facts.software.torch_cuda
    detail = f"{detail}; driver {driver}"
    if built_for == "":
        return warn("GPU", f"{detail}; torch is a build for CPUs", "to use GPUs install torch and vllm for CUDA")
    oldest = _DRIVERS.get(_number(built_for or ""), 0)
    if _number(driver) < oldest:
        return fail("GPU", f"{detail}; torch is built for CUDA {built_for}", f"install driver {oldest} or newer")
    return ok("GPU", detail)


def check_visible_devices(facts: Facts) -> Finding | None:
    """What of the GPUs `CUDA_VISIBLE_DEVICES` leaves."""
    visible, gpus = facts.machine.visible_devices, facts.machine.gpus
    if visible is None or not gpus:
        return None
    numbers = [part.strip() for part in visible.split(",") if part.strip()]
    detail = f"CUDA_VISIBLE_DEVICES={visible}"
    # CUDA sees none from the first number on that it does not know
    unknown = [part for part in numbers if part.lstrip("-").isdecimal() and not 0 <= int(part) < len(gpus)]
    if unknown or not numbers:
        why = f"GPU {unknown[0]} not found" if unknown else "no GPU is left"
        level = fail if facts.repository.needs_gpus else warn
        return level("CUDA devices", f"{detail}: {why}", "unset it, or name GPUs that nvidia-smi -L lists")
    return ok("CUDA devices", detail)


def check_gpu_memory(facts: Facts) -> Finding | None:
    """Whether as much is free as an engine takes when it starts."""
    share = facts.repository.gpu_memory_utilization
    if not facts.repository.needs_gpus or not facts.machine.gpus or facts.server is not None:
        return None
    full = [gpu for gpu in facts.machine.gpus if gpu.free_mib < share * gpu.total_mib]
    detail = ", ".join(f"{gpu.index}: {gpu.free_mib / 1024:.0f} GiB free" for gpu in full or facts.machine.gpus)
    if full:
        advice = f"an engine takes {share:.0%} of a GPU: end what uses it (nvidia-smi), or lower gpu_memory_utilization"
        return fail("GPU memory", detail, advice)
    return ok("GPU memory", detail)


def check_sharing(facts: Facts) -> Finding | None:
    """Whether engines that share a GPU can run on it side by side."""
    if not facts.repository.shares_gpus or not facts.machine.gpus:
        return None
    if facts.machine.has_mps:
        return ok("shared GPUs", "engines run side by side, by MPS")
    advice = "in a container set NVIDIA_DRIVER_CAPABILITIES=compute,utility, which brings nvidia-cuda-mps-control"
    return warn("shared GPUs", "engines alternate: no MPS", advice)


def check_shared_memory(facts: Facts) -> Finding:
    """What is free in /dev/shm."""
    size = facts.machine.shared_memory
    advice = "in a container: docker run --shm-size=8g, or in Kubernetes an emptyDir with medium Memory at /dev/shm"
    return _by_size("shared memory", size, _SHARED_MEMORY, f"{_size(size)} free", advice)


def check_memory(facts: Facts) -> Finding:
    """Memory that is available, within a container's limit."""
    size = facts.machine.memory
    advice = (
        "end other programs, raise the container's limit, or serve without documents: ocrvl serve --interface unary"
    )
    return _by_size("memory", size, _MEMORY, f"{_size(size)} available", advice)


def check_cores(facts: Facts) -> Finding:
    """Cores that this process may use."""
    cores = facts.machine.cores
    if cores < 2:
        return warn("cores", f"{cores}", "give it two or more: decoding images and the engine take turns on one")
    return ok("cores", f"{cores}")


def check_disk(facts: Facts) -> list[Finding]:
    """Space where checkpoints and temporary files go."""
    advice = "free some, or choose another folder: HF_HOME for checkpoints, TMPDIR for temporary files"
    return [
        _by_size("disk", free, _DISK, f"{folder} has {_size(free)} free", advice)
        for folder, free in facts.machine.free_disk.items()
    ]


def check_ports(facts: Facts) -> Finding | None:
    """Ports of a server that is to be started."""
    if facts.server is not None:
        return None
    ports, taken = facts.machine.ports, facts.machine.taken_ports
    if taken:
        advice = (
            "a server may be running already (ocrvl probe); else choose others: ocrvl serve --http-port 0 --grpc-port 0"
        )
        return warn("ports", f"taken: {', '.join(map(str, taken))}", advice)
    return ok("ports", f"{', '.join(map(str, ports))} are free")


def check_locale(facts: Facts) -> Finding:
    """The locale that models set when they load: without it vLLM cannot be imported in Triton's stubs."""
    if facts.machine.has_utf8_locale:
        return ok("locale", "C.UTF-8")
    return fail("locale", "C.UTF-8 not found", "install the system's locales (libc-bin, or glibc-minimal-langpack)")


def _by_size(name: str, size: int, bounds: tuple[int, int], detail: str, advice: str) -> Finding:
    if size < bounds[0]:
        return fail(name, detail, advice)
    return warn(name, detail, advice) if size < bounds[1] else ok(name, detail)


def _size(size: int) -> str:
    return f"{size / _GIB:.1f} GiB" if size >= _GIB else f"{size // _MIB} MiB"


def _number(version: str) -> int:
    """The first number of a version, 0 where there is none."""
    first = version.partition(".")[0]
    return int(first) if first.isdecimal() else 0
