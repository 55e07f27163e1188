"""`ocrvl.launcher.leftovers`: what the killed leave is cleared away, and nothing of those that live."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from ocrvl.launcher.leftovers import clear_leftovers, own_folder, region_prefix
from ocrvl.launcher.process_group import find_members

STARTER = """
import subprocess, sys, time
from pathlib import Path
from ocrvl.launcher.leftovers import own_folder, region_prefix
with own_folder() as folder:
    prefix = region_prefix(folder)
    Path("/dev/shm", prefix + "region").write_text("x")
    code = "import time; print('up', flush=True); time.sleep(600)"
    command = [sys.executable, "-c", code, f"python,shm-region-prefix-name={prefix}"]
    server = subprocess.Popen(command, start_new_session=True, stdout=subprocess.PIPE)
    server.stdout.readline()
    print(folder, server.pid, flush=True)
    time.sleep(600)
"""


@pytest.fixture(autouse=True)
def _own_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)


@pytest.fixture
def starter() -> Iterator[tuple[subprocess.Popen[str], Path, int]]:
    """A process that has a folder, shared memory and a server; its folder and the server's id."""
    with subprocess.Popen([sys.executable, "-c", STARTER], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        folder, pid = process.stdout.readline().split()
        yield process, Path(folder), int(pid)
        process.kill()
    if find_members(int(pid)):
        os.killpg(int(pid), signal.SIGKILL)


def test_what_a_killed_starter_leaves_is_ended_and_removed(
    starter: tuple[subprocess.Popen[str], Path, int],
) -> None:
    process, folder, server = starter
    region = Path("/dev/shm", f"{region_prefix(folder)}region")
    process.kill()
    process.wait()
    assert psutil.pid_exists(server)
    assert clear_leftovers() == [folder]
    assert not find_members(server)
    assert not region.exists()
    assert not folder.exists()


def test_nothing_of_a_starter_that_lives_is_touched(starter: tuple[subprocess.Popen[str], Path, int]) -> None:
    _, folder, server = starter
    with own_folder() as mine:
        assert clear_leftovers() == []
        assert mine.is_dir()
    region = Path("/dev/shm", f"{region_prefix(folder)}region")
    assert folder.is_dir()
    assert region.exists()
    assert find_members(server)
    region.unlink()


def test_a_starter_that_ends_leaves_neither_folder_nor_shared_memory() -> None:
    with own_folder() as folder:
        region = Path("/dev/shm", f"{region_prefix(folder)}{uuid.uuid4().hex}")
        region.write_text("x")
    assert not folder.exists()
    assert not region.exists()


def test_folders_that_are_no_server_s_stay(tmp_path: Path) -> None:
    (tmp_path / "ocrvl-channels-0").mkdir()
    (tmp_path / "ocrvl-link").symlink_to(tmp_path / "ocrvl-channels-0")
    assert clear_leftovers() == []
    assert (tmp_path / "ocrvl-channels-0").is_dir()
