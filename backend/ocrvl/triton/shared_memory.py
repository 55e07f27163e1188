"""Whether an answer fits into the memory that a stub shares with its server.

Triton calls it INTERNAL where there is none, after the model has handed its answer over, and lets nobody catch that.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Final

from ocrvl.errors import Unavailable

_SHARED_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - where POSIX shared memory is on Linux
_REGION_ARGUMENT: Final = 2
"""Where a stub's command line names its region."""


def check_shared_memory(needed: int, folder: Path = _SHARED_MEMORY, region: Path | None = None) -> None:
    """Raise `Unavailable` where a region would have to grow for so many bytes, and what is free is not enough.

    `region` is this stub's own unless given. A region that is large enough may hold other things as well: what is told
    apart here is a full `/dev/shm`, not every moment at which something does not fit.
    """
    region = region or _own_region()
    try:
        free = os.statvfs(folder)
        if needed <= region.stat().st_size or needed <= free.f_bavail * free.f_frsize:
            return
    except OSError:
        # not a stub's process, or another kind of memory: Triton says what is wrong
        return
    raise Unavailable(
        f"the server's /dev/shm has no space for {needed} bytes now: send fewer or smaller images, or try again later"
    )


@cache
def _own_region() -> Path:
    arguments = Path("/proc/self/cmdline").read_bytes().split(b"\0")
    name = Path(os.fsdecode(arguments[_REGION_ARGUMENT])).name if len(arguments) > _REGION_ARGUMENT else ""
    # a process that is no stub, or one with a title, names none: then there is no such file
    return _SHARED_MEMORY / (name or "no-region")
