"""Arguments to inputs: files, folders, patterns, URLs and standard input."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final
from urllib.parse import unquote, urlsplit

from ocrvl_cli.reading.download import download
from ocrvl_cli.reading.errors import InputError

STDIN: Final = "-"

_SUFFIXES: Final = frozenset((".pdf", ".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp"))
"""What is looked for in folders; a file that is named is read whatever it is called."""

_MAGIC: Final = re.compile(r"[*?[]")


@dataclass(frozen=True)
class Input:
    """Something to read.

    `name` is what its user calls it, `key` what it is known by in later runs, `target` where its results go below
    an output folder, with the file's own suffix. It is a file if it has a `path`, or has been read already if it has
    `data`, else it is a URL, or standard input.
    """

    name: str
    key: str
    target: PurePosixPath
    path: Path | None = None
    data: bytes | None = None

    def load(self, timeout: float) -> bytes:
        """All of it; `timeout` in seconds bounds a download. Raises `InputError`."""
        if self.data is not None:
            return self.data
        if self.path is None:
            return download(self.key, timeout)
        try:
            data = self.path.read_bytes()
        except OSError as error:
            raise InputError(error.strerror or str(error)) from None
        if not data:
            raise InputError("it is empty")
        return data


@dataclass(frozen=True)
class SkippedInput:
    """An argument, or a part of it, in which no input was found, and why."""

    name: str
    reason: str


def find_inputs(arguments: Sequence[str], leave_out: Path | None = None) -> Iterator[Input | SkippedInput]:
    """What the arguments name, each once, in their order; files of a folder by name, numbers in it as numbers.

    Folders are searched in depth, without hidden files, links to folders, and the folder `leave_out`.
    """
    seen: set[str] = set()
    for argument in arguments:
        for found in _find(argument, leave_out):
            if isinstance(found, Input):
                if found.key in seen:
                    continue
                seen.add(found.key)
            yield found


def _find(argument: str, leave_out: Path | None) -> Iterator[Input | SkippedInput]:
    path = Path(argument)
    if argument == STDIN:
        yield Input("standard input", STDIN, PurePosixPath("stdin"))
    elif re.match(r"https?://", argument, re.IGNORECASE):
        yield Input(argument, argument, PurePosixPath(_name_of(argument)))
    elif _exists(path, Path.is_dir):
        yield from _search(path, leave_out)
    elif _MAGIC.search(argument) and not _exists(path):
        yield from _match(argument, leave_out)
    else:
        yield _file(path, path.name)


def _file(path: Path, target: str | Path) -> Input:
    # not resolved: a link may lead elsewhere tomorrow, and its results should stay where they are
    return Input(str(path), str(path.absolute()), PurePosixPath(Path(target).as_posix()), path)


def _search(folder: Path, leave_out: Path | None) -> Iterator[Input | SkippedInput]:
    problems: list[OSError] = []
    left_out = leave_out.resolve() if leave_out else None
    found = False
    for parent, folders, files in os.walk(folder, onerror=problems.append):
        folders[:] = sorted(
            (name for name in folders if not name.startswith(".") and Path(parent, name).resolve() != left_out),
            key=_in_order,
        )
        for name in sorted(files, key=_in_order):
            path = Path(parent, name)
            if path.suffix.lower() in _SUFFIXES and not name.startswith("."):
                found = True
                yield _file(path, path.relative_to(folder))
    for problem in problems:
        yield SkippedInput(str(problem.filename), f"the folder cannot be read: {problem.strerror}")
    if not found and not problems:
        yield SkippedInput(str(folder), f"no files in it that can be read ({', '.join(sorted(_SUFFIXES))})")


def _match(pattern: str, leave_out: Path | None) -> Iterator[Input | SkippedInput]:
    parts = Path(pattern).parts
    # folders that exist are meant as they are called, whatever is in their names
    first = next(index for index in range(len(parts)) if not _exists(Path(*parts[: index + 1])))
    root = Path(*parts[:first])
    left_out = leave_out.resolve() if leave_out else None
    found = False
    try:
        matches = sorted(root.glob(str(Path(*parts[first:]))), key=lambda path: _in_order(str(path)))
    except ValueError as error:
        yield SkippedInput(pattern, f"not a pattern: {error}")
        return
    for path in matches:
        target = path.relative_to(root)
        # `**` matches folders as well, whose files it matches too
        if (
            _exists(path, Path.is_dir)
            or any(part.startswith(".") for part in target.parts)
            or left_out in path.resolve().parents
        ):
            continue
        found = True
        yield _file(path, target)
    if not found:
        yield SkippedInput(pattern, "no file matches it")


def _exists(path: Path, look: Callable[[Path], bool] = Path.exists) -> bool:
    """Whether there is such a file; false where none can be called so, or nobody may look."""
    try:
        return look(path)
    except OSError:
        return False


def _in_order(name: str) -> tuple[tuple[int, str], ...]:
    """Page 10 comes after page 9.

    >>> sorted(["p10.png", "p9.png", "a.png"], key=_in_order)
    ['a.png', 'p9.png', 'p10.png']
    """
    return tuple((int(part), "") if part.isdecimal() else (-1, part.casefold()) for part in re.split(r"(\d+)", name))


def _name_of(url: str) -> str:
    """A file's name for what a URL leads to; never one that leads out of its folder.

    >>> _name_of("https://example.org/a/scan%201.png?size=big"), _name_of("https://example.org/..%2f.."), _name_of("http://a")
    ('scan 1.png', 'example.org', 'a')
    """
    split = urlsplit(url)
    name = re.sub(r"[/\\\x00-\x1f:]", "_", unquote(PurePosixPath(split.path).name)).lstrip("._ ")
    return name or split.hostname or "url"
