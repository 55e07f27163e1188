"""`ocrvl.instances.background`: jobs beside the requests."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil

from ocrvl.instances.background import repeat

STUB = """
import sys, time
from pathlib import Path
from ocrvl.instances.background import end_with_server
end_with_server(before=lambda: Path(sys.argv[1]).write_text("before"))
print("watching", flush=True)
time.sleep(60)
"""
SERVER = """
import subprocess, sys, time
stub = subprocess.Popen([sys.executable, "-c", sys.argv[1], sys.argv[2]], stdout=subprocess.PIPE, text=True)
print(stub.stdout.readline().strip(), stub.pid, flush=True)
time.sleep(60)
"""


def test_a_process_whose_server_is_killed_ends_after_its_last_call(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SERVER, STUB, str(tmp_path / "said")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        said, pid = server.stdout.readline().split()
        assert said == "watching"
        stub = psutil.Process(int(pid))
        server.kill()
    psutil.wait_procs([stub], timeout=20)
    assert not stub.is_running()
    assert (tmp_path / "said").read_text() == "before"


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
