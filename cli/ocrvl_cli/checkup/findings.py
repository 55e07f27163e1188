"""What a check says."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How a check ended: `WARN` works, but not as well as it could or not for everything; `FAIL` does not work."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True)
class Finding:
    """What was looked at, how it is, what was seen, and, unless it is well, what to do."""

    name: str
    level: Level
    seen: str
    advice: str = ""


def ok(name: str, seen: str) -> Finding:
    """All is well."""
    return Finding(name, Level.OK, seen)


def warn(name: str, seen: str, advice: str) -> Finding:
    """It works, with a drawback."""
    return Finding(name, Level.WARN, seen, advice)


def fail(name: str, seen: str, advice: str) -> Finding:
    """It does not work."""
    return Finding(name, Level.FAIL, seen, advice)
