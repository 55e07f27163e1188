"""The lines of a record: inputs that were read, and files of those that were begun."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Done:
    """An input that was read, and how.

    What it was (`modified` in nanoseconds, 0 for what is no file), what was asked of it (`Asked.digest`), and its
    results: their sizes by their names below the output folder.
    """

    key: str
    place: str
    size: int
    modified: int
    hash: str
    asked: str
    files: Mapping[str, int]


@dataclass(frozen=True)
class Begun:
    """Files, by their names below the output folder, of an input that is being read."""

    key: str
    place: str
    begun: Collection[str]


def parse(line: bytes) -> Done | Begun | None:
    """What a line says; None where it was cut off, or somebody else has written it."""
    try:
        # names of files may be no UTF-8, and are written as they are
        fields = json.loads(line.decode("utf-8", "surrogateescape"))
        noted = Begun(**fields) if "begun" in fields else Done(**fields)
        names = list(noted.files.keys() if isinstance(noted, Done) else noted.begun)
    except (ValueError, TypeError, AttributeError):
        return None
    return noted if all(isinstance(each, str) for each in (noted.key, noted.place, *names)) else None
