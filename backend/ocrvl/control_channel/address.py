"""The folder of one Triton server's sockets, which its stubs find and other processes do not."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Final

from ocrvl.local_keys import private_folder

_SUFFIX: Final = ".sock"
_LONGEST_PATH: Final = 107
"""Bytes of a Unix socket's path (`sun_path` in unix(7), less its closing zero)."""


def channel_folder() -> Path:
    """The folder of this server's sockets, created if missing.

    A stub is a child of its server, so the server's process id and start time name it; the time tells a process from
    an earlier one, or one of another container, with the same id. Raises `OSError` where the folder is not ours alone.
    """
    home = private_folder("ocrvl-channels")
    _remove_leftovers(home)
    server = os.getppid()
    folder = home / f"{server}-{_start_time(server)}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def socket_path(folder: Path, replica: str) -> Path:
    """The socket of one engine, by the name of its Triton instance. Raises `OSError` for a path that is too long."""
    path = folder / f"{replica}{_SUFFIX}"
    if len(os.fsencode(path)) > _LONGEST_PATH:
        raise OSError(f"{path} is too long for a socket: set TMPDIR to a shorter folder")
    return path


def find_sockets(folder: Path) -> dict[str, Path]:
    """The sockets that are there now, by replica."""
    return {path.name.removesuffix(_SUFFIX): path for path in folder.glob(f"*{_SUFFIX}")}


def _start_time(pid: int) -> str:
    """When a process started, in clock ticks since boot (field 22 of /proc/<pid>/stat, proc(5))."""
    # the second field is the program's name in brackets, which may hold anything
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]


def _remove_leftovers(home: Path) -> None:
    """Remove the folders of servers that are gone."""
    for folder in home.iterdir():
        pid, _, started = folder.name.partition("-")
        with suppress(OSError, ValueError, IndexError):
            if not Path(f"/proc/{int(pid)}").exists() or _start_time(int(pid)) != started:
                shutil.rmtree(folder, ignore_errors=True)
