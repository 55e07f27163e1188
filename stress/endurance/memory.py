"""What the processes of a server hold of the machine's memory, and how it grows."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from ocrvl.settings import EngineModelSettings
from perf.harness.serve_process import Member
from stress.endurance.leftovers import SHARED_MEMORY, mapped_regions

MAX_GROWTH: Final = 0.05
"""Of a process between a tenth of the requests and all of them: what is kept for each request adds up to more."""

_SETTLE_SECONDS: Final = EngineModelSettings().trim_memory_seconds + 5
"""Until an engine has returned what it has freed."""
_OWN_MEMORY: Final = re.compile(r"^Rss(?:Anon|File):\s+(\d+) kB$", re.MULTILINE)
_PREFIX: Final = re.compile(r"ocrvl-[^-]+-")


@dataclass(frozen=True)
class Process:
    """A process by its number and what it is, so that one which was started again is another one."""

    name: str
    pid: int


@dataclass(frozen=True)
class Memory:
    """Bytes: resident memory of each process, and what the server's own regions take in shared memory.

    A process's share of those regions is not counted as its own: every process that reads a page of them would have it.
    """

    resident: Mapping[Process, int]
    shared: int


@dataclass(frozen=True)
class Growth:
    """One process at both readings; None where it was not there."""

    process: Process
    before: int | None
    after: int | None

    @property
    def share(self) -> float | None:
        """How much of what it had has come on top."""
        return None if self.before is None or self.after is None else self.after / self.before - 1

    @property
    def holds(self) -> bool:
        """Whether it is the same process, grown by no more than allowed."""
        return self.share is not None and self.share <= MAX_GROWTH


def read_memory(members: Sequence[Member]) -> Memory:
    """Read it, once the server has had the time to put away what it was doing."""
    time.sleep(_SETTLE_SECONDS)
    resident = {
        Process(member.name, member.process.pid): rss
        for member in members
        if (rss := _resident(member.process)) is not None
    }
    regions = {region.name for member in members for region in mapped_regions(member.process.pid)}
    files = [file for prefix in find_prefixes(regions) for file in SHARED_MEMORY.glob(f"{prefix}*")]
    # blocks of 512 bytes: a region's size is what it may come to
    return Memory(resident, sum(file.stat().st_blocks * 512 for file in files))


def find_prefixes(regions: Iterable[str]) -> set[str]:
    """The prefixes that `ocrvl serve` gave to these regions of shared memory; others' regions have none.

    >>> find_prefixes(["ocrvl-x1y2-0a1b-4c", "ocrvl-x1y2-77-01", "psm_0a1b"])
    {'ocrvl-x1y2-'}
    """
    return {found[0] for region in regions if (found := _PREFIX.match(region))}


def compare(before: Memory, after: Memory) -> list[Growth]:
    """Every process of either reading, the largest first."""
    processes = sorted(
        before.resident.keys() | after.resident.keys(),
        key=lambda process: (-before.resident.get(process, 0), process.name, process.pid),
    )
    return [Growth(process, before.resident.get(process), after.resident.get(process)) for process in processes]


def _resident(process: psutil.Process) -> int | None:
    try:
        status = Path(f"/proc/{process.pid}/status").read_text("ascii")
    except (FileNotFoundError, ProcessLookupError):
        return None
    return sum(1024 * int(kibibytes) for kibibytes in _OWN_MEMORY.findall(status)) or None
