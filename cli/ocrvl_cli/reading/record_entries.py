"""The lines of a record: inputs that were read, and files of those that were started."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class DoneEntry:
    """An input that was read, and how.

    What it was (`modified` in nanoseconds, 0 for what is no file), how it was read (`plan`, a `ReadPlan.digest`), and
    its results: their sizes by their names below the output folder.
    """

    key: str
    target: str
    size: int
    modified: int
    hash: str
    plan: str
    files: Mapping[str, int]


@dataclass(frozen=True)
class StartedEntry:
    """Files, by their names below the output folder, of an input that is being read."""

    key: str
    target: str
    started: Collection[str]


def parse_entry(line: bytes) -> DoneEntry | StartedEntry | None:
    """What a line says; None where it was cut off, or somebody else has written it."""
    try:
        # names of files may be no UTF-8, and are written as they are
        fields = json.loads(line.decode("utf-8", "surrogateescape"))
        entry = StartedEntry(**fields) if "started" in fields else DoneEntry(**fields)
        names = list(entry.files.keys() if isinstance(entry, DoneEntry) else entry.started)
    except (ValueError, TypeError, AttributeError):
        return None
    return entry if all(isinstance(each, str) for each in (entry.key, entry.target, *names)) else None
