"""`ocrvl.models.background`: jobs beside the requests."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from itertools import pairwise

import psutil
import pytest

from ocrvl.models.background import repeat, watch_callers

STUB = """
import subprocess, sys, time
from ocrvl.models.background import end_with_server
end_with_server()
engine = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print(engine.pid, flush=True)
time.sleep(60)
"""
SERVER = """
import subprocess, sys, time
stub = subprocess.Popen([sys.executable, "-c", sys.argv[1]], stdout=subprocess.PIPE, text=True)
print(stub.stdout.readline().strip(), stub.pid, flush=True)
time.sleep(60)
"""


def test_a_process_whose_server_is_killed_ends_with_all_that_it_started() -> None:
    with subprocess.Popen([sys.executable, "-c", SERVER, STUB], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        orphans = [psutil.Process(int(pid)) for pid in server.stdout.readline().split()]
        server.kill()
    assert len(orphans) == 2
    _, alive = psutil.wait_procs(orphans, timeout=20)
    assert not alive


def test_a_job_is_done_again_and_again_until_it_is_stopped() -> None:
    done = threading.Semaphore(0)
    stop = repeat(done.release, 0.001, "test")
    for _ in range(3):
        assert done.acquire(timeout=10)
    stop()
    while done.acquire(blocking=False):
        pass
    time.sleep(0.05)
    assert not done.acquire(blocking=False)


def test_many_callers_are_asked_about_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _pid: {0, 1})
    began: list[float] = []

    def end_abandoned() -> int:
        began.append(time.monotonic())
        # of two cores 64 a second
        return 16 if len(began) < 4 else 0

    stop = watch_callers(end_abandoned, 0.01)
    while len(began) < 10:
        time.sleep(0.01)
    stop()
    pauses = [later - earlier for earlier, later in pairwise(began)]
    assert min(pauses[:3]) >= 0.24
    assert min(pauses[3:]) < 0.24
