"""Load profiles: plain files of perf_analyzer's own arguments, with a few directives for what it cannot say itself.

A profile is `profiles/NAME.args`, or a folder `profiles/NAME/` with several such files. Lines that begin with `#` are
comments; of them `#:` begins a directive:

    #: images line            what to draw (`perf.images.SizeClass`)
    #: concurrency 1 2 4 8      a measurement for each number of requests in flight: perf_analyzer steps evenly only
    #: request-rate 1 2 4       or for each rate, requests a second
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from ocrvl.wire import Model
from perf.images import SizeClass

FOLDER: Final = Path(__file__).parent / "profiles"
_COMMENT: Final = "#"
_DIRECTIVE: Final = "#:"
_IMAGES: Final = "images"


class ProfileInvalid(ValueError):
    """A profile that cannot be run; the message names the file and what to change."""


class Load(StrEnum):
    """What grows from measurement to measurement."""

    CONCURRENCY = "concurrency"
    REQUEST_RATE = "request-rate"


@dataclass(frozen=True)
class Run:
    """One file: a model under a load that grows. `arguments` are perf_analyzer's, those of the load left out.

    `max_tokens` bounds the text of an image; None leaves it to the server.
    """

    name: str
    arguments: tuple[str, ...]
    images: SizeClass
    load: Load
    levels: tuple[float, ...]
    max_tokens: int | None = None

    @property
    def model(self) -> str:
        """The model that requests go to."""
        return self.arguments[self.arguments.index("-m") + 1]

    @property
    def protocol(self) -> str:
        """`grpc` or `http`."""
        return self.arguments[self.arguments.index("-i") + 1]

    @property
    def is_streaming(self) -> bool:
        """Whether a request has many responses."""
        return "--streaming" in self.arguments

    @property
    def takes_patches(self) -> bool:
        """Whether the model takes what `preprocess` sends rather than files."""
        return self.model == Model.ENGINE

    def load_arguments(self, level: float) -> tuple[str, str]:
        """The arguments for one measurement. An end is given, since perf_analyzer stops at 16 threads without one."""
        return f"--{self.load}-range", f"{level:g}:{level:g}"

    def label(self, level: float) -> str:
        """A name for one measurement, fit for a file's."""
        return f"{self.name}-{'c' if self.load is Load.CONCURRENCY else 'r'}{level:g}"


@dataclass(frozen=True)
class Profile:
    """What one command measures."""

    name: str
    runs: tuple[Run, ...]


def profile_names(folder: Path = FOLDER) -> list[str]:
    """The profiles there are."""
    return sorted(path.stem for path in folder.iterdir() if path.is_dir() or path.suffix == ".args")


def load_profile(name: str, folder: Path = FOLDER) -> Profile:
    """The profile of that name. Raises `ProfileInvalid`."""
    if name not in profile_names(folder):
        raise ProfileInvalid(f"no profile {name!r} (there are: {', '.join(profile_names(folder))})")
    single = folder / f"{name}.args"
    files = [single] if single.is_file() else sorted((folder / name).glob("*.args"))
    if not files:
        raise ProfileInvalid(f"{folder / name}: it has no .args file")
    return Profile(name, tuple(parse_run(path.stem, path.read_text("utf-8")) for path in files))


def parse_run(name: str, text: str) -> Run:
    """A run from the text of its file. Raises `ProfileInvalid`."""
    arguments: list[str] = []
    directives: dict[str, list[str]] = {}
    for line in map(str.strip, text.splitlines()):
        if line.startswith(_DIRECTIVE):
            key, *values = line.removeprefix(_DIRECTIVE).split()
            directives[key] = values
        elif not line.startswith(_COMMENT):
            arguments += shlex.split(line)
    if unknown := directives.keys() - {_IMAGES, *Load}:
        raise ProfileInvalid(f"{name}: unknown directive {', '.join(sorted(unknown))} (known: {_IMAGES}, {_loads()})")
    for option in ("-m", "-i"):
        if option not in arguments[:-1]:
            raise ProfileInvalid(f"{name}: expected {option} and its value, each an argument of its own")
    loads = [load for load in Load if load in directives]
    if len(loads) != 1:
        raise ProfileInvalid(f"{name}: expected one directive of {_loads()}")
    return Run(
        name,
        tuple(arguments),
        _parse_images(name, directives.get(_IMAGES, [])),
        loads[0],
        _parse_levels(name, directives[loads[0]]),
    )


def _loads() -> str:
    return " and ".join(Load)


def _parse_images(name: str, values: Sequence[str]) -> SizeClass:
    if len(values) != 1 or values[0] not in set(SizeClass):
        raise ProfileInvalid(f"{name}: expected one of {', '.join(SizeClass)} in the directive {_IMAGES}")
    return SizeClass(values[0])


def _parse_levels(name: str, values: Sequence[str]) -> tuple[float, ...]:
    try:
        levels = tuple(map(float, values))
    except ValueError as error:
        raise ProfileInvalid(f"{name}: {error}") from None
    if not levels or min(levels) <= 0:
        raise ProfileInvalid(f"{name}: expected numbers above 0 for the load")
    return levels
