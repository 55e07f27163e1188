"""What a fuzz target is, and which there are."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

NAMES: Final = tuple(
    sorted(file.stem for file in (Path(__file__).parent / "targets").glob("*.py") if file.stem != "__init__")
)
"""The modules of `targets`; each has a `TARGET`."""


@dataclass(frozen=True)
class Target:
    """A parser under attack.

    `check` hands it some bytes and raises for whatever must not be: an exception that its contract does not name, a
    result that breaks it. `seeds` are inputs to begin from, made when they are asked for. `words` are what its language
    is made of. `max_bytes` is the size that inputs grow to.
    """

    check: Callable[[bytes], None]
    seeds: Callable[[], Sequence[bytes]]
    words: Sequence[str] = ()
    max_bytes: int = 4096


def load_target(name: str) -> Target:
    """The target of that name, one of `NAMES`."""
    return cast(Target, importlib.import_module(f"stress.fuzz.targets.{name}").TARGET)
