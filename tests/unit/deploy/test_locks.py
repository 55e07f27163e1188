"""requirements/*.lock.txt: every pin of the file it is made from, each with hashes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

LOCKS = sorted(Path("requirements").glob("*.lock.txt"))
PIN = re.compile(r"([\w.-]+)==([\w.+!]+)")


def pins(text: str) -> dict[str, str]:
    """Versions by normalized names, of lines that begin with a pin."""
    found = (PIN.match(line) for line in text.splitlines())
    return {re.sub(r"[-_.]+", "-", match[1]).lower(): match[2] for match in found if match}


def test_there_is_a_lock_for_each_image_and_for_what_builds_the_wheel() -> None:
    assert [lock.name for lock in LOCKS] == ["build.lock.txt", "container.lock.txt", "cpu.lock.txt"]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_a_lock_has_the_pins_of_its_source_and_a_hash_for_each(lock: Path) -> None:
    text = lock.read_text("utf-8")
    source = lock.with_name(lock.name.replace(".lock", ""))
    assert pins(text) == pins(source.read_text("utf-8")), "run `make lock`"
    entries = re.split(r"\n(?=\S)", "\n".join(line for line in text.splitlines() if not line.startswith("#")))
    for entry in entries:
        assert PIN.match(entry), entry
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", entry), entry


def test_what_is_pinned_twice_is_pinned_alike() -> None:
    build, dev = (pins(Path(f"requirements/{name}.txt").read_text("utf-8")) for name in ("build", "dev"))
    cpu = pins(Path("requirements/cpu.txt").read_text("utf-8"))
    for others in (dev, cpu):
        assert {name: build[name] for name in build.keys() & others} == {
            name: others[name] for name in build.keys() & others
        }
