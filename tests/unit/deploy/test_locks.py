"""requirements/*.lock.txt: what `make lock` resolves pyproject.toml to, each version with its hashes."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

FOLDER = Path("requirements")
LOCKS = sorted(FOLDER.glob("*.lock.txt"))
PIN = re.compile(r"([\w.-]+)==([\w.+!]+)")
PYPROJECT: dict[str, Any] = tomllib.loads(Path("pyproject.toml").read_text("utf-8"))
GROUPS: dict[str, list[Any]] = PYPROJECT["dependency-groups"]


def pins(lock: Path) -> dict[str, str]:
    """Versions by normalized names, of lines that begin with a pin."""
    found = (PIN.match(line) for line in lock.read_text("utf-8").splitlines())
    return {canonicalize_name(match[1]): match[2] for match in found if match}


def listed(name: str) -> list[Requirement]:
    """The requirements of a file that is written by hand."""
    lines = (line.partition(" #")[0].strip() for line in (FOLDER / name).read_text("utf-8").splitlines())
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


def declared(*extras: str, group: str = "") -> list[Requirement]:
    """What pyproject.toml asks for: the project's own, of these extras, of a group and of what it includes."""
    names = [*(PYPROJECT["project"]["dependencies"] if extras else []), *GROUPS.get(group, [])]
    for extra in extras:
        names += PYPROJECT["project"]["optional-dependencies"][extra]
    included = [name["include-group"] for name in names if isinstance(name, dict)]
    own = [Requirement(name) for name in names if isinstance(name, str)]
    return own + [one for name in included for one in declared(group=name)]


SERVING = declared("server", "layout", "triton", "gateway", group="cpu")
SOURCES = {
    "build": (declared(group="build"), ""),
    "container": (declared("server", "layout", "gateway"), "container.excludes.txt"),
    "cpu": (SERVING, "excludes.txt"),
    "dev": (declared(group="dev"), ""),
    "supply": (declared(group="supply"), ""),
}
"""By name of a lock: what is declared, and the file of what is left out."""


def test_there_is_a_lock_for_all_that_is_declared() -> None:
    assert [lock.name.removesuffix(".lock.txt") for lock in LOCKS] == sorted(SOURCES)


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_every_line_of_a_lock_is_a_version_with_hashes(lock: Path) -> None:
    entries = re.split(
        r"\n(?=\S)", "\n".join(line for line in lock.read_text("utf-8").splitlines() if not line.startswith("#"))
    )
    for entry in entries:
        assert PIN.match(entry), entry
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", entry), entry


@pytest.mark.parametrize("name", SOURCES)
def test_a_lock_has_what_is_declared_but_for_what_is_left_out(name: str) -> None:
    requirements, excludes = SOURCES[name]
    left_out = {canonicalize_name(one.name) for one in (listed(excludes) if excludes else [])}
    locked = pins(FOLDER / f"{name}.lock.txt")
    # what the tests need and serving has as well is locked there
    known = {**pins(FOLDER / "cpu.lock.txt"), **locked} if name == "dev" else locked
    overridden = {canonicalize_name(one.name): one for one in listed("overrides.txt")}
    for one in requirements:
        key = canonicalize_name(one.name)
        assert (key in known) is (key not in left_out), f"{one}: run `make lock`"
        if key in known:
            wanted = overridden.get(key, one)
            assert wanted.specifier.contains(known[key], prereleases=True), (
                f"{wanted}, not {known[key]}: run `make lock`"
            )
    assert not left_out & locked.keys()
    for key in overridden.keys() & locked.keys():
        assert overridden[key].specifier.contains(locked[key]), f"{overridden[key]}: run `make lock`"


def test_what_is_locked_for_two_is_locked_alike() -> None:
    cpu, dev, container, build = (pins(FOLDER / f"{name}.lock.txt") for name in ("cpu", "dev", "container", "build"))
    assert not cpu.keys() & dev.keys()
    for others in (container, build):
        assert others.items() <= {**cpu, **dev}.items()


def test_what_is_overridden_has_a_reason() -> None:
    lines = (FOLDER / "overrides.txt").read_text("utf-8").splitlines()
    assert all(line.startswith("#") or " # " in line for line in lines)
