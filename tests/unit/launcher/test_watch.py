"""`ocrvl.launcher.watch` and `group`: real processes that are killed, found dead and cleared away."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from ocrvl.launcher.process_group import end_group, find_members
from ocrvl.launcher.watch import StubWatch

SLEEPING = "import time; print('up', flush=True); time.sleep(600)"

Spawn = Callable[[str], "subprocess.Popen[str]"]


def wait_for_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


@pytest.fixture
def spawn(tmp_path: Path) -> Iterator[Spawn]:
    """Starts a process with the command line of an instance's stub, as a child of this one."""
    for child in psutil.Process().children():
        # what other tests have left defunct
        if child.status() == psutil.STATUS_ZOMBIE:
            child.wait()
    started: list[subprocess.Popen[str]] = []

    def start(instance: str) -> subprocess.Popen[str]:
        file = tmp_path / "repository" / instance.rpartition("_")[0].rpartition("_")[0] / "1/model.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(SLEEPING)
        arguments = ["/b/python/triton_python_backend_stub", str(file), "shm-77", "1048576", "/b/python", instance]
        process = subprocess.Popen(arguments, executable=sys.executable, stdout=subprocess.PIPE, text=True)
        started.append(process)
        wait_for_line(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def watch() -> StubWatch:
    return StubWatch(os.getpid())


def test_stubs_that_run_are_known_by_their_instances_and_no_other_process_is(spawn: Spawn) -> None:
    spawn("ocr_x_0_1")
    spawn("ocr_x_0_0")
    with subprocess.Popen(["sleep", "600"]) as other:
        assert watch().instances == ["ocr_x_0_0", "ocr_x_0_1"]
        other.kill()
    assert watch().find_dead() == []


@pytest.mark.parametrize("reaped", [False, True])
def test_a_killed_stub_is_found_whether_it_is_defunct_or_gone(spawn: Spawn, reaped: bool) -> None:
    spawn("engine_0_0")
    victim = spawn("engine_0_1")
    watching = watch()
    victim.kill()
    if reaped:
        victim.wait()
    else:
        os.waitid(os.P_PID, victim.pid, os.WEXITED | os.WNOWAIT)
    assert [str(stub) for stub in watching.find_dead()] == [f"engine_0_1 (process {victim.pid})"]


def test_a_stub_that_another_took_the_place_of_is_not_missed(spawn: Spawn) -> None:
    old = spawn("engine_0_0")
    watching = watch()
    new = spawn("engine_0_0")
    old.kill()
    old.wait()
    assert watching.find_dead() == []
    new.kill()
    new.wait()
    assert [stub.process.pid for stub in watching.find_dead()] == [new.pid]


def test_a_stub_that_died_before_the_watch_began_is_found(spawn: Spawn) -> None:
    victim = spawn("engine_0_0")
    victim.kill()
    os.waitid(os.P_PID, victim.pid, os.WEXITED | os.WNOWAIT)
    assert [stub.process.pid for stub in watch().find_dead()] == [victim.pid]


def test_the_stubs_of_a_server_that_is_gone_are_none() -> None:
    with subprocess.Popen(["true"]) as server:
        pass
    assert StubWatch(server.pid).find_dead() == []


FAMILY = """
import subprocess, sys
from multiprocessing.shared_memory import SharedMemory
memory = SharedMemory(create=True, size=4096)
child = subprocess.Popen(["sleep", "600"])
print(memory.name, child.pid, flush=True)
child.wait()
"""


def test_ending_a_group_leaves_neither_processes_nor_their_shared_memory() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", FAMILY], stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as leader:
        name, child = wait_for_line(leader).split()
        assert Path("/dev/shm", name).exists()
        end_group(leader.pid, 30)
    assert find_members(leader.pid) == []
    assert not psutil.pid_exists(int(child)) or psutil.Process(int(child)).status() == psutil.STATUS_ZOMBIE
    assert not Path("/dev/shm", name).exists()


def test_a_group_whose_leader_is_gone_is_ended_too() -> None:
    command = "import subprocess; print(subprocess.Popen(['sleep', '600']).pid, flush=True)"
    with subprocess.Popen(
        [sys.executable, "-c", command], stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as leader:
        orphan = int(wait_for_line(leader))
        leader.wait()
        assert [process.pid for process in find_members(leader.pid)] == [orphan]
        end_group(leader.pid, 30)
    assert find_members(leader.pid) == []
