"""What a server has on the machine, and what of it is left when it has ended."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import psutil

from perf.harness.serve_process import Member

SHARED_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - where POSIX shared memory is on Linux


class Leftovers:
    """Remembers the processes of a server and the shared memory that they have mapped."""

    def __init__(self) -> None:
        self._processes: dict[psutil.Process, str] = {}
        self._regions: set[Path] = set()

    def look(self, members: list[Member]) -> None:
        """Add what is there now."""
        for member in members:
            self._processes[member.process] = f"{member.name} (process {member.process.pid})"
            self._regions |= mapped_regions(member.process.pid)

    def left(self) -> list[str]:
        """What still is there: nothing, when the server has ended as it should."""
        processes = [name for process, name in self._processes.items() if process.is_running()]
        return processes + [str(region) for region in sorted(self._regions) if region.exists()]


def mapped_regions(pid: int) -> set[Path]:
    """The files of shared memory that a process has mapped; none for one that is gone."""
    try:
        maps = Path(f"/proc/{pid}/maps").read_text("utf-8")
    except OSError:
        return set()
    words = (line.split(maxsplit=5) for line in maps.splitlines())
    return {Path(line[5]) for line in words if len(line) == 6 and line[5].startswith(f"{SHARED_MEMORY}/")}
