"""Files whole or not at all."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Final

from ocrvl_cli.reading.errors import InputError, OutputError

_OF_ONE_FILE: Final = (errno.ENAMETOOLONG, errno.EISDIR, errno.ENOTDIR, errno.EILSEQ)
"""What is wrong with one name alone; anything else (a full disk, no permission) the next file would meet as well."""


def write_file(folder: Path, name: str, data: bytes) -> None:
    """Write a file below a folder, which is made where it is missing.

    It is there whole or, where this raises, as it was before. Raises `InputError` for a name that leads out of the
    folder or cannot be had, `OutputError` for everything else.
    """
    if _leads_out(name):
        raise InputError(f"the server has named an image {name!r}")
    path = folder / name
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, half = tempfile.mkstemp(dir=path.parent, prefix=".ocrvl-", suffix=path.suffix)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            Path(half).chmod(0o644)
            Path(half).replace(path)
        except BaseException:
            Path(half).unlink(missing_ok=True)
            raise
    except OSError as error:
        if error.errno in _OF_ONE_FILE:
            raise InputError(f"its result cannot be written: {error}") from None
        raise output_error(folder, error) from None


def remove_files(folder: Path, names: Iterable[str]) -> None:
    """Remove files below a folder, and what folders become empty; what cannot be removed stays."""
    for path in (folder / name for name in names if not _leads_out(name)):
        with suppress(OSError):
            path.unlink()
            path.parent.rmdir()


def check_name(folder: Path, name: str) -> None:
    """Whether a file of this name could be written below a folder, before there is anything to write.

    Raises `InputError` for a path that is too long, or where there is a file for a folder or a folder for a file.
    """
    path = folder / name
    try:
        if path.is_dir():
            raise InputError(f"its result cannot be written: {str(path)!r} is a folder")
        path.stat()
    except OSError as error:
        if error.errno in _OF_ONE_FILE:
            raise InputError(f"its result cannot be written: {error}") from None


def _leads_out(name: str) -> bool:
    return ".." in PurePosixPath(name).parts or PurePosixPath(name).is_absolute()


def output_error(where: Path, error: OSError) -> OutputError:
    """The end of a run whose results cannot be written to this folder or file."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    cure = "free some space" if full else "choose another folder, or get the right to write there"
    return OutputError(f"{where} cannot be written: {error.strerror or error}; {cure}")
