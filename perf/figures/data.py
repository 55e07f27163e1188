"""The format of a file of figures: what was measured, when, on what, by which command, and what came out.

Measurements are flat records of keys and values. A value is a number, a text, null where it is not known, or a median
with its interval. Names of numbers end with their unit, but for counts and shares: `images_per_second`, `p50_seconds`,
`cpu_ms`, `gpu_busy`.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, TypeAlias

from pydantic import BaseModel, ConfigDict, ValidationError

FOLDER: Final = Path(__file__).parent


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Interval(_Frozen):
    """A median and the interval around it; which one (95 %, all rounds) is for `Figures.conditions` to say."""

    median: float
    low: float
    high: float


Value: TypeAlias = int | float | str | Interval | None

Key: TypeAlias = str | int
"""What a record is found by: a workload's name, a number of requests in flight."""


class Column(_Frozen):
    """A column of a table: the field `value` of the row's record that has all of `where`.

    `format` is Python's format specification, `unit` follows the number.
    """

    title: str
    value: str
    where: Mapping[str, Key] = {}
    format: str = ""
    unit: str = ""


class Table(_Frozen):
    """Which records are shown, those that have all of `where`, and how.

    Records that share the values of `rows` are one row. Where there is a `group`, a row of its own names it before the
    rows that have it.
    """

    rows: tuple[str, ...]
    columns: tuple[Column, ...]
    where: Mapping[str, Key] = {}
    group: str | None = None


class Figures(_Frozen):
    """One file. `rounds` is how often everything was measured, or how often at least and at most ("2 to 4")."""

    question: str
    date: datetime.date | None
    machine: str | None
    versions: Mapping[str, str]
    command: str | None
    rounds: int | str | None
    conditions: str | None
    measurements: tuple[Mapping[str, Value], ...]
    tables: Mapping[str, Table]

    def find(self, **keys: Key) -> Iterator[Mapping[str, Value]]:
        """The records that have all of these."""
        return (one for one in self.measurements if keys.items() <= one.items())

    def number(self, value: str, **keys: Key) -> float:
        """The one number of that name in the records that have all the keys, of an interval its median.

        Raises `KeyError` where there is none, or more than one.
        """
        found = [record[value] for record in self.find(**keys) if record.get(value) is not None]
        if len(found) != 1 or isinstance(found[0], str | None):
            raise KeyError(f"{self.question} expected one number {value!r} of {keys}, found {found}")
        return found[0].median if isinstance(found[0], Interval) else float(found[0])


def list_names(folder: Path = FOLDER) -> list[str]:
    """The names of all files."""
    return sorted(path.stem for path in folder.glob("*.json"))


def load(name: str, folder: Path = FOLDER) -> Figures:
    """The figures of that name. Raises `ValueError` that names the file and what is wrong with it."""
    path = folder / f"{name}.json"
    try:
        return Figures.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise ValueError(f"no figures {name!r}; there are {', '.join(list_names(folder))}") from None
    except ValidationError as error:
        raise ValueError(f"{path}: {error}") from None


def save(name: str, figures: Figures, folder: Path = FOLDER) -> Path:
    """Write the file, a line for each measurement and each column, so that changes can be read."""
    values = figures.model_dump(mode="json", exclude_defaults=True)
    path = folder / f"{name}.json"
    path.write_text(_dump(values) + "\n", "utf-8")
    return path


def _dump(value: object, depth: int = 0) -> str:
    """JSON that breaks lines for lists of objects and for objects that have such, and for nothing else."""
    margin = "  " * depth
    if isinstance(value, dict) and (depth == 0 or any(map(_is_large, value.values()))):
        items = ",\n".join(f"{margin}  {json.dumps(key)}: {_dump(one, depth + 1)}" for key, one in value.items())
        return f"{{\n{items}\n{margin}}}"
    if isinstance(value, list) and _is_large(value):
        items = ",\n".join(f"{margin}  {_dump(one, depth + 1)}" for one in value)
        return f"[\n{items}\n{margin}]"
    return json.dumps(value, ensure_ascii=False)


def _is_large(value: object) -> bool:
    if isinstance(value, dict):
        return any(map(_is_large, value.values()))
    return isinstance(value, list) and any(isinstance(one, dict) for one in value)
