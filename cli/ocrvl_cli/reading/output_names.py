"""Which input has which name in an output folder."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path, PurePosixPath
from typing import Final

from ocrvl_cli.reading.read_plan import DRAWING_SUFFIX, RESULT_SUFFIXES
from ocrvl_cli.reading.sources import Input

_LONGEST_SUFFIX: Final = max(map(len, (*RESULT_SUFFIXES, DRAWING_SUFFIX)))

_USUAL_LONGEST_NAME: Final = 255


class OutputNames:
    """Names of results without their suffixes, below a folder that exists; no two inputs have the same one."""

    def __init__(self, folder: Path) -> None:
        self._longest = _longest_name(folder)
        self._names: dict[str, str] = {}
        self._taken: set[str] = set()

    def reserve(self, key: str, name: str) -> None:
        """Give a name to the input with this key."""
        self._names[key] = name
        # a document's files are inside a folder of its name
        self._taken |= {_folded(name), _inside(name)}

    def assign(self, one: Input) -> str:
        """The name of this input's results, which it keeps from then on.

        `a/scan` for `a/scan.png`; where another input has that, `a/scan.png`, then `a/scan.png-2` and so on. Names that
        would be too long with a result's suffix are cut.
        """
        if one.key in self._names:
            return self._names[one.key]
        name, number = self._fit(one.target.with_suffix("")), 1
        while {_folded(name), _inside(name)} & self._taken:
            name = self._fit(one.target, f"-{number}" if number > 1 else "")
            number += 1
        self.reserve(one.key, name)
        return name

    def _fit(self, path: PurePosixPath, end: str = "") -> str:
        """The path with this end, each name in it cut to what the file system and the longest suffix let."""
        *folders, name = path.parts
        name = _cut(name, self._longest - _LONGEST_SUFFIX - len(end)) + end
        return "/".join((*(_cut(each, self._longest) for each in folders), name))


def _inside(name: str) -> str:
    return _folded(f"{name}/{name.rpartition('/')[2]}")


def _folded(name: str) -> str:
    """The same for names that some file systems take for one."""
    return unicodedata.normalize("NFC", name).casefold()


def _cut(name: str, size: int) -> str:
    """The beginning of a name, so much of it as this many bytes hold.

    >>> _cut("été.png", 6)
    'été.'
    """
    while len(os.fsencode(name)) > size:
        name = name[:-1]
    return name


def _longest_name(folder: Path) -> int:
    """Bytes of a file's name in this folder at most."""
    try:
        return os.pathconf(folder, "PC_NAME_MAX")
    except (AttributeError, OSError, ValueError):
        return _USUAL_LONGEST_NAME
