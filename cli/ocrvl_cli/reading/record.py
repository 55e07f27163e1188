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

from ocrvl_cli.reading.errors import RunAborted
from ocrvl_cli.reading.output_files import output_error
from ocrvl_cli.reading.output_names import OutputNames
from ocrvl_cli.reading.read_plan import RESULT_SUFFIXES
from ocrvl_cli.reading.record_entries import DoneEntry, StartedEntry, parse_entry
from ocrvl_cli.reading.sources import Input

FILE_NAME: Final = ".ocrvl.jsonl"


class Record:
    """A file of JSON lines in the output folder; later lines count more, and one that was cut off does not count.

    Use in a `with` block, which keeps other runs out of the folder. Raises `RunAborted`, `OutputError`.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._done: dict[str, DoneEntry] = {}
        self._readings: dict[str, list[frozenset[str]]] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Record:
        path = self._folder / FILE_NAME
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._file = self._stack.enter_context(path.open("a+b"))
        except OSError as error:
            raise output_error(self._folder, error) from None
        if not _lock(self._file.fileno()):
            self._stack.close()
            raise RunAborted(f"another ocrvl is writing to {self._folder}: wait for it, or choose another folder")
        self._names = OutputNames(self._folder)
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

    def target_of(self, one: Input) -> str:
        """Where this input's results go below the folder, without a suffix: the same in every run, and no other's."""
        return self._names.assign(one)

    def is_done(self, one: Input, plan: str, data: bytes | None = None) -> bool:
        """Whether results of this input are there, read by the same plan, and it has not changed since.

        Without its bytes a file that has kept its size and time counts as unchanged, with them what has kept its hash.
        """
        done = self._done.get(one.key)
        if done is None or done.plan != plan or not self._has(done.files):
            return False
        if data is not None:
            return done.hash == sha256(data).hexdigest()
        return one.path is not None and (done.size, done.modified) == _stat(one.path)

    def add(self, one: Input, plan: str, data: bytes, modified: int, files: Mapping[str, int]) -> None:
        """Note that an input is done. Raises `OutputError`."""
        done = DoneEntry(one.key, self.target_of(one), len(data), modified, sha256(data).hexdigest(), plan, files)
        self._write(asdict(done))
        self._note_done(done)

    def start(self, one: Input, names: Collection[str]) -> None:
        """Note that these files of an input are written next, though it may never be done.

        Raises `OutputError`.
        """
        started = StartedEntry(one.key, self.target_of(one), tuple(names))
        self._write(asdict(started))
        self._note_started(started)

    def replaced(self, one: Input, files: Collection[str]) -> set[str]:
        """Files of earlier readings of this input that these replace, and that are not among them.

        A reading that was done is replaced where all its texts are; its images may belong to a text of another format
        otherwise. One that was not is replaced by any.
        """
        earlier = self._readings.get(one.key, [])
        return set().union(*earlier) - set().union(*_without(earlier, files)) - set(files)

    def _load(self, line: bytes) -> None:
        entry = parse_entry(line)
        if entry is None:
            return
        self._names.reserve(entry.key, entry.target)
        if isinstance(entry, DoneEntry):
            self._note_done(entry)
        else:
            self._note_started(entry)

    def _write(self, fields: Mapping[str, object]) -> None:
        line = json.dumps(fields, ensure_ascii=False).encode("utf-8", "surrogateescape")
        try:
            self._file.write(self._start + line + b"\n")
            self._file.flush()
        except OSError as error:
            raise output_error(self._folder, error) from None
        self._start = b""

    def _note_done(self, done: DoneEntry) -> None:
        self._done[done.key] = done
        self._readings[done.key] = [*_without(self._readings.get(done.key, []), done.files), frozenset(done.files)]

    def _note_started(self, started: StartedEntry) -> None:
        self._readings.setdefault(started.key, []).append(frozenset(started.started))
        if started.key in self._done and not self._done[started.key].files.keys().isdisjoint(started.started):
            # what it had written is being overwritten
            del self._done[started.key]

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
