"""Watches the processes of a running Triton, which neither restarts a model's killed process nor reports it.

Its ready endpoints stay 200, so only an inference or a look at the processes shows it (seen on Triton 2.51).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import psutil

from ocrvl.launcher.process_group import is_alive

_STUB = "triton_python_backend_stub"


@dataclass(frozen=True)
class Stub:
    """The process of one instance of a Python model."""

    instance: str
    process: psutil.Process

    def __str__(self) -> str:
        return f"{self.instance} (process {self.process.pid})"


class StubWatch:
    """Remembers the stubs that a server has when this is made, which should be when it is ready."""

    def __init__(self, server_pid: int) -> None:
        self._server_pid = server_pid
        self._stubs, self._dead_at_first = _find_stubs(server_pid)

    @property
    def instances(self) -> list[str]:
        """The instances that are watched."""
        return sorted(stub.instance for stub in self._stubs)

    def find_dead(self) -> list[Stub]:
        """The stubs that are gone or defunct and that no other took the place of, as Triton does on a reload."""
        if self._dead_at_first:
            return self._dead_at_first
        dead = [stub for stub in self._stubs if not is_alive(stub.process)]
        if dead:
            # listing a process's children reads every process of the machine, so only now
            alive, _ = _find_stubs(self._server_pid)
            living = {stub.instance for stub in alive}
            dead = [stub for stub in dead if stub.instance not in living]
            self._stubs = alive + dead
        return dead


def parse_instance(arguments: list[str]) -> str | None:
    """The instance that a stub with this command line runs, None for another process.

    Triton names the model's file first and the instance near the end; without the latter the model's name serves.

    >>> parse_instance(["/b/triton_python_backend_stub", "/r/ocr_x/1/model.py", "shm", "1", "77", "/b", "ocr_x_0_1"])
    'ocr_x_0_1'
    >>> parse_instance(["/usr/bin/python", "/r/ocr_x/1/model.py"])
    """
    if len(arguments) < 2 or Path(arguments[0]).name != _STUB:
        return None
    model = Path(arguments[1]).parent.parent.name
    return next((argument for argument in arguments[2:] if argument.startswith(f"{model}_")), model)


def _find_stubs(server_pid: int) -> tuple[list[Stub], list[Stub]]:
    """The stubs that run, and those that are dead already: a defunct process has lost its command line."""
    alive, dead = [], []
    try:
        children = psutil.Process(server_pid).children()
    except psutil.NoSuchProcess:
        return [], []
    for process in children:
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                dead.append(Stub("a model's instance", process))
            elif instance := parse_instance(process.cmdline()):
                alive.append(Stub(instance, process))
        except psutil.NoSuchProcess:
            continue
    return alive, dead
