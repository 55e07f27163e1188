"""The processes that this one has started."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress

import psutil

_KILL_SECONDS = 5.0


def descendants() -> set[psutil.Process]:
    """Every process below this one, but for Python's tracker of shared resources, which ends when its users have."""
    found = set()
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            if "resource_tracker" not in " ".join(process.cmdline()):
                found.add(process)
    return found


def kill(processes: Collection[psutil.Process]) -> None:
    """End processes at once, and wait until they are gone."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(processes, timeout=_KILL_SECONDS)
