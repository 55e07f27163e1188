"""What a server leaves behind whose starter was killed: its processes, its shared memory, its folder of links.

A starter locks a file in its server's folder. The lock ends with it, however it ends, and the next one clears away what
belongs to folders that no process has locked.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import psutil

from ocrvl.launcher.process_group import end_group

_FOLDER: Final = "ocrvl-"
_LOCK: Final = "owner.lock"
_SHARED_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - where POSIX shared memory is on Linux
_END_SECONDS: Final = 30.0


@contextmanager
def own_folder() -> Iterator[Path]:
    """A folder for one server, this process's until the block ends; its name begins that of the shared memory."""
    with tempfile.TemporaryDirectory(prefix=_FOLDER) as name:
        folder = Path(name)
        # locked before it has its name, so that no other process finds it unlocked
        with (folder / f"{_LOCK}.new").open("wb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            (folder / f"{_LOCK}.new").rename(folder / _LOCK)
            yield folder
            remove_shared_memory(region_prefix(folder))


def region_prefix(folder: Path) -> str:
    """What the names of a server's shared memory begin with.

    >>> region_prefix(Path("/tmp/ocrvl-abc"))
    'ocrvl-abc-'
    """
    return f"{folder.name}-"


def close_shared_memory(prefix: str) -> None:
    """Keep other users from reading what a server's processes share, which are callers' images and texts.

    Boost, which makes the regions, sets 0644 whatever the umask is. They are empty until the server is ready.
    """
    for region in _SHARED_MEMORY.glob(f"{prefix}*"):
        with suppress(FileNotFoundError):
            region.chmod(0o600)


def remove_shared_memory(prefix: str) -> None:
    """Remove the shared memory of a server that has ended."""
    for region in _SHARED_MEMORY.glob(f"{prefix}*"):
        region.unlink(missing_ok=True)


def clear_leftovers() -> list[Path]:
    """End and remove what belongs to servers of this user whose starter is gone; the folders that were theirs."""
    cleared = []
    for folder in Path(tempfile.gettempdir()).glob(f"{_FOLDER}*"):
        if _is_left(folder):
            prefix = region_prefix(folder)
            for group in _find_groups(prefix):
                end_group(group, _END_SECONDS)
            remove_shared_memory(prefix)
            shutil.rmtree(folder, ignore_errors=True)
            cleared.append(folder)
    return cleared


def _is_left(folder: Path) -> bool:
    """Whether a folder is a server's, this user's, and unlocked."""
    with suppress(OSError):
        status = folder.lstat()
        if status.st_uid != os.geteuid() or folder.is_symlink():
            return False
        with (folder / _LOCK).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return True
    return False


def _find_groups(prefix: str) -> set[int]:
    """The process groups of servers of this user whose shared memory's names begin so."""
    found = set()
    for process in psutil.process_iter():
        with suppress(psutil.Error, ProcessLookupError):
            matches = any(argument.endswith(f"shm-region-prefix-name={prefix}") for argument in process.cmdline())
            if matches and process.uids().effective == os.geteuid() and os.getpgid(process.pid) == process.pid:
                found.add(process.pid)
    return found
