"""The folder of a rendered repository: written once, replaced only where everything in it was rendered."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Final

from ocrvl import __version__
from ocrvl.repository.options import OptionRefused

MARKER: Final = ".ocrvl-repository.json"
"""In a rendered folder: which arguments made it, and the files it was given. Triton only looks at folders."""

_CACHE: Final = "__pycache__"
"""What Python leaves beside the models when they are served."""


def check_folder(folder: Path, *, force: bool) -> None:
    """Raises `OptionRefused` unless `folder` is absent or empty, or, with `force`, holds only what was rendered."""
    if folder.exists() and not folder.is_dir():
        raise OptionRefused(f"OUT: {folder} is a file: name a folder")
    if not folder.is_dir() or not any(folder.iterdir()):
        return
    if not (folder / MARKER).is_file():
        raise OptionRefused(f"OUT: {folder} is not empty, and this command did not make it: name another folder")
    if not force:
        raise OptionRefused(
            f"OUT: {folder} holds a repository already: name another folder, or replace it with --force"
        )
    if others := sorted(_paths_in(folder) - _rendered_files(folder)):
        raise OptionRefused(
            f"OUT: {folder} holds what this command did not make, move it first: {', '.join(others[:5])}"
        )


def write_folder(folder: Path, files: Mapping[PurePosixPath, bytes], arguments: list[str]) -> None:
    """Write the files, in place of a repository that was rendered before.

    `check_folder` must have allowed it. Raises `OSError`; what was interrupted can be done again with `--force`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # the marker goes last and comes first, so that a folder left half-way is still known as ours
    for entry in sorted(folder.iterdir(), key=lambda path: path.name == MARKER):
        shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    marker = {"version": __version__, "arguments": arguments, "files": [str(path) for path in files]}
    (folder / MARKER).write_text(json.dumps(marker, indent=2, ensure_ascii=False) + "\n", "utf-8")
    for path, content in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)


def _paths_in(folder: Path) -> set[str]:
    """Files and links under a folder, by their paths in it; without Python's caches and the marker."""
    paths = (path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
    return {str(path.relative_to(folder)) for path in paths if path.parent.name != _CACHE} - {MARKER}


def _rendered_files(folder: Path) -> set[str]:
    marker = folder / MARKER
    try:
        files = json.loads(marker.read_text("utf-8"))["files"]
        return {str(PurePosixPath(path)) for path in files}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise OptionRefused(f"OUT: {marker} cannot be read ({error!r}): name another folder") from None
