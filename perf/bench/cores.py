"""Which processes compute where: all engines on one core, everything else on the other."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from perf.bench.systems import ENGINE, System

OTHERS_CORE, ENGINE_CORE = sorted(os.sched_getaffinity(0))[:2]
ENVIRONMENT: Final = {
    "OMP_NUM_THREADS": "1",
    # else vLLM has a thread for each core, and on one core they would wait for each other
    "VLLM_CPU_OMP_THREADS_BIND": str(ENGINE_CORE),
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "HF_HUB_OFFLINE": "1",
}


def share_cores(systems: Sequence[System]) -> None:
    """The engines have a core, and all that is before them, this process included, another."""
    for system in systems:
        pin(system, engine=ENGINE_CORE, others=OTHERS_CORE)
    pin_threads(os.getpid(), OTHERS_CORE)


def pin(system: System, *, engine: int, others: int) -> None:
    """Keep the system's engine on one core and its other processes on another, with all the threads they have."""
    processes = system.processes()
    alone = len(processes) == 1
    for name, process in processes:
        pin_threads(process.pid, engine if alone or name == ENGINE else others)


def pin_threads(pid: int, *cores: int) -> None:
    """Keep the threads of a process on these cores; those that they start later stay there as well."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(ProcessLookupError):
            os.sched_setaffinity(int(task.name), cores)
