"""Ending a process group: all that a server started, whoever its parent is by now, with its shared memory."""

from __future__ import annotations

import contextlib
import os
import signal
import time

import psutil

_LOOK_SECONDS = 0.1
_TRACKER = "from multiprocessing.resource_tracker import"


def is_alive(process: psutil.Process) -> bool:
    """Whether a process runs: it is neither gone nor defunct, and its number was not given to another."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def find_members(group: int) -> list[psutil.Process]:
    """The processes of a group that run."""
    return [process for process in psutil.process_iter() if _group_of(process) == group and is_alive(process)]


def kill_group(group: int) -> None:
    """Kill every process of a group but Python's resource trackers.

    These end by themselves when the processes they serve are dead, and remove what those left in shared memory.
    """
    for process in find_members(group):
        with contextlib.suppress(psutil.NoSuchProcess):
            if not any(_TRACKER in argument for argument in process.cmdline()):
                process.kill()


def end_group(group: int, seconds: float) -> None:
    """Kill every process of a group, and wait until they are gone, at most so many seconds for the last ones."""
    deadline = time.monotonic() + seconds
    while find_members(group) and time.monotonic() < deadline:
        # again and again, for what was started in the meantime
        kill_group(group)
        time.sleep(_LOOK_SECONDS)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)
    # as the first process of a container we inherit orphans, which stay defunct until they are waited for
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-group, os.WNOHANG) != (0, 0):
            pass


def _group_of(process: psutil.Process) -> int | None:
    try:
        return os.getpgid(process.pid)
    except ProcessLookupError:
        return None
