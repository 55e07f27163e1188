"""`ocrvl.instances.background`: jobs beside the requests."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from itertools import pairwise

import psutil

from ocrvl.instances.background import repeat

STUB = """
import subprocess, sys, time
from ocrvl.instances.background import end_with_server
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


def test_a_job_that_takes_long_is_done_less_often() -> None:
    began: list[float] = []

    def work() -> None:
        began.append(time.monotonic())
        time.sleep(0.05)

    stop = repeat(work, 0.001, "test")
    while len(began) < 3:
        time.sleep(0.01)
    stop()
    assert all(later - earlier >= 0.05 * 10 for earlier, later in pairwise(began))
