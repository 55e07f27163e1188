"""The result of a check."""

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
    """What was checked, its level, what was found, and, unless it is well, what to do."""

    name: str
    level: Level
    detail: str
    advice: str = ""


def ok(name: str, detail: str) -> Finding:
    """All is well."""
    return Finding(name, Level.OK, detail)


def warn(name: str, detail: str, advice: str) -> Finding:
    """It works, with a drawback."""
    return Finding(name, Level.WARN, detail, advice)


def fail(name: str, detail: str, advice: str) -> Finding:
    """It does not work."""
    return Finding(name, Level.FAIL, detail, advice)
