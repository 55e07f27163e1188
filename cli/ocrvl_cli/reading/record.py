"""What is done in an output folder: what an interrupted run goes on from."""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Final

from ocrvl_cli.reading.noted import Begun, Done, parse
from ocrvl_cli.reading.places import Places
from ocrvl_cli.reading.problems import RunEnded
from ocrvl_cli.reading.read_plan import RESULT_SUFFIXES
from ocrvl_cli.reading.sources import Input
from ocrvl_cli.reading.writing import can_not_write

FILE_NAME: Final = ".ocrvl.jsonl"


class Record:
    """A file of JSON lines in the output folder; later lines count more, and one that was cut off counts nothing.

    Use in a `with` block, which keeps other runs out of the folder. Raises `RunEnded`, `CanNotWrite`.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._done: dict[str, Done] = {}
        self._readings: dict[str, list[frozenset[str]]] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Record:
        path = self._folder / FILE_NAME
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._file = self._stack.enter_context(path.open("a+b"))
        except OSError as error:
            raise can_not_write(self._folder, error) from None
        if not _lock(self._file.fileno()):
            self._stack.close()
            raise RunEnded(f"another ocrvl is writing to {self._folder}: wait for it, or choose another folder")
        self._places = Places(self._folder)
        self._file.seek(0)
        lines = self._file.read().split(b"\n")
        # a line that was cut off must not swallow the next
        self._start = b"\n" if lines[-1] else b""
        for line in lines:
            self._load(line)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def place_of(self, one: Input) -> str:
        """Where this input's results go below the folder, without a suffix: the same in every run, and no other's."""
        return self._places.of(one)

    def is_done(self, one: Input, asked: str, data: bytes | None = None) -> bool:
        """Whether results of this input are there, asked for in the same way, and it has not changed since.

        Without its bytes a file that has kept its size and time counts as unchanged, with them what has kept its hash.
        """
        done = self._done.get(one.key)
        if done is None or done.asked != asked or not self._has(done.files):
            return False
        if data is not None:
            return done.hash == sha256(data).hexdigest()
        return one.path is not None and (done.size, done.modified) == _stat(one.path)

    def add(self, one: Input, asked: str, data: bytes, modified: int, files: Mapping[str, int]) -> None:
        """Note that an input is done. Raises `CanNotWrite`."""
        done = Done(one.key, self.place_of(one), len(data), modified, sha256(data).hexdigest(), asked, files)
        self._write(asdict(done))
        self._note_done(done)

    def begin(self, one: Input, names: Collection[str]) -> None:
        """Note that these files of an input are about to be written, though it may never be done.

        Raises `CanNotWrite`.
        """
        begun = Begun(one.key, self.place_of(one), tuple(names))
        self._write(asdict(begun))
        self._note_begun(begun)

    def replaced(self, one: Input, files: Collection[str]) -> set[str]:
        """Files of earlier readings of this input whose place these take, and that are not among them.

        A reading that was done is replaced where all its texts are; its images may belong to a text of another format
        otherwise. One that was not is replaced by any.
        """
        earlier = self._readings.get(one.key, [])
        return set().union(*earlier) - set().union(*_without(earlier, files)) - set(files)

    def _load(self, line: bytes) -> None:
        noted = parse(line)
        if noted is None:
            return
        self._places.take(noted.key, noted.place)
        if isinstance(noted, Done):
            self._note_done(noted)
        else:
            self._note_begun(noted)

    def _write(self, fields: Mapping[str, object]) -> None:
        line = json.dumps(fields, ensure_ascii=False).encode("utf-8", "surrogateescape")
        try:
            self._file.write(self._start + line + b"\n")
            self._file.flush()
        except OSError as error:
            raise can_not_write(self._folder, error) from None
        self._start = b""

    def _note_done(self, done: Done) -> None:
        self._done[done.key] = done
        self._readings[done.key] = [*_without(self._readings.get(done.key, []), done.files), frozenset(done.files)]

    def _note_begun(self, begun: Begun) -> None:
        self._readings.setdefault(begun.key, []).append(frozenset(begun.begun))
        if begun.key in self._done and not self._done[begun.key].files.keys().isdisjoint(begun.begun):
            # what it had written is being overwritten
            del self._done[begun.key]

    def _has(self, files: Mapping[str, int]) -> bool:
        try:
            return all((self._folder / name).stat().st_size == size for name, size in files.items())
        except OSError:
            return False


def _without(readings: Sequence[frozenset[str]], files: Collection[str]) -> list[frozenset[str]]:
    """The readings that these files do not replace."""
    texts = [{name for name in reading if PurePosixPath(name).suffix in RESULT_SUFFIXES} for reading in readings]
    return [reading for reading, own in zip(readings, texts, strict=True) if not own <= set(files)]


def modified_at(path: Path | None) -> int:
    """When a file was changed last, in nanoseconds; 0 for what is no file."""
    return _stat(path)[1] if path is not None else 0


def _stat(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError:
        return (-1, 0)
    return found.st_size, found.st_mtime_ns


def _lock(descriptor: int) -> bool:
    """Whether this process has the file for itself; always so on Windows, where there is no `flock`."""
    if sys.platform == "win32":
        return True
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        # a file system without locks
        return True
    return True
