"""The memory of the devices that an engine runs on."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from typing import Any


@dataclass(frozen=True)
class DeviceMemory:
    """A device's memory in bytes: in use, by whomever, and all of it."""

    used: int
    total: int


def gpu_memory() -> dict[str, DeviceMemory]:
    """The memory of each device that this process may use, by its number or name; empty where there is no GPU."""
    nvml = _open_nvml()
    if nvml is None:
        return {}
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = visible.split(",") if visible else [str(number) for number in range(nvml.nvmlDeviceGetCount())]
    return {name: _device_memory(nvml, name) for name in names}


@cache
def _open_nvml() -> Any:
    """NVIDIA's management library, open until the process ends; None where there is none.

    Once in a process, though the metrics want it every second: opening it takes its time on a GPU, and to look for a
    library that is missing holds Python's lock, in which requests wait.
    """
    from vllm.third_party import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None
    return pynvml


def _device_memory(pynvml: Any, name: str) -> DeviceMemory:
    by_number = name.isdecimal()
    find = pynvml.nvmlDeviceGetHandleByIndex if by_number else pynvml.nvmlDeviceGetHandleByUUID
    memory = pynvml.nvmlDeviceGetMemoryInfo(find(int(name) if by_number else name))
    return DeviceMemory(int(memory.used), int(memory.total))
