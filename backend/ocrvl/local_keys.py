"""Folders that are one user's alone, and the key to a server's shared memory, which callers of that user find there.

Its imports are light: the client reads keys, too.
"""

from __future__ import annotations

import os
import secrets
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

KEY_HEADER: Final = "ocrvl-shared-memory"
"""The header that carries the key over HTTP; over gRPC with Triton's own prefix."""

GRPC_PREFIX: Final = "triton-grpc-protocol-"


def private_folder(name: str) -> Path:
    """A folder of this user's for temporary files, created if missing.

    Raises `OSError` where it is not this user's alone.
    """
    folder = Path(tempfile.gettempdir()) / f"{name}-{os.geteuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if status.st_uid != os.geteuid() or status.st_mode & 0o077 or folder.is_symlink():
        raise OSError(f"{folder} is not this user's alone: remove it")
    return folder


def write_key(*ports: int) -> str:
    """A new key for the server that listens on these ports, where `read_key` finds it. Raises `OSError`."""
    key = secrets.token_urlsafe(32)
    for port in ports:
        file = _key_file(port)
        with suppress(FileNotFoundError):
            file.unlink()
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as written:
            written.write(key)
    return key


def read_key(port: int) -> str | None:
    """The key of the server on this port of this machine; None where there is none for this user."""
    try:
        return _key_file(port).read_text("ascii")
    except (OSError, ValueError):
        return None


def remove_key(key: str, *ports: int) -> None:
    """Remove a key; one that a later server on the same port has written stays."""
    for port in ports:
        if read_key(port) == key:
            with suppress(OSError):
                _key_file(port).unlink()


def _key_file(port: int) -> Path:
    return private_folder("ocrvl-keys") / f"shared-memory-{port}"
