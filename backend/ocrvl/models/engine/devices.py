"""Which devices and cores an engine has: environment variables, set before vLLM is imported."""

from __future__ import annotations

from collections.abc import Mapping


def device_environment(
    kind: str, device: int, replica: str, gpus: str | None, cpu_cores: str | None, environ: Mapping[str, str]
) -> dict[str, str]:
    """The variables for one Triton instance.

    `kind` and `device` are the instance's; `gpus` the devices of an instance that has several ("0,1"); `cpu_cores`
    those of each instance, or of each rank of the only one ("0-3|4-7"). Where `CUDA_VISIBLE_DEVICES` is set already,
    numbers count within it, as Triton's own do. Raises `ValueError` for a device that is not found.

    >>> device_environment("GPU", 1, "paddleocr_vl_0_0_gpu1", None, None, {"CUDA_VISIBLE_DEVICES": "4,5"})
    {'CUDA_VISIBLE_DEVICES': '5'}
    >>> device_environment("CPU", 0, "paddleocr_vl_0_1", None, "0-3|4-7", {})
    {'VLLM_CPU_OMP_THREADS_BIND': '4-7'}
    >>> device_environment("MODEL", 0, "paddleocr_vl_0_0", None, "0|1", {})
    {'VLLM_CPU_OMP_THREADS_BIND': '0|1'}
    """
    environment = {}
    if kind == "GPU" or gpus:
        numbers = [int(number) for number in gpus.split(",")] if gpus else [device]
        environment["CUDA_VISIBLE_DEVICES"] = ",".join(_visible(number, environ) for number in numbers)
    if cpu_cores:
        environment["VLLM_CPU_OMP_THREADS_BIND"] = _own_cores(cpu_cores, replica) if kind == "CPU" else cpu_cores
    return environment


def _own_cores(cpu_cores: str, replica: str) -> str:
    cores = cpu_cores.split("|")
    index = int(replica.rpartition("_")[2]) if len(cores) > 1 else 0
    if index >= len(cores):
        raise ValueError(f"cpu_cores={cpu_cores} has cores for {len(cores)} instances, {replica} is one more")
    return cores[index]


def _visible(number: int, environ: Mapping[str, str]) -> str:
    visible = environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return str(number)
    devices = visible.split(",") if visible else []
    if not 0 <= number < len(devices):
        raise ValueError(f"GPU {number} not found: CUDA_VISIBLE_DEVICES={visible} has {len(devices)} devices")
    return devices[number].strip()
