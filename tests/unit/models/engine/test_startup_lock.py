"""`ocrvl.models.engine.startup_lock`: one process at a time, whatever becomes of it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ocrvl.models.engine.startup_lock import startup_lock

_HOLD = """
import asyncio, os, sys, time
from pathlib import Path
from ocrvl.models.engine.startup_lock import startup_lock

async def hold():
    async with startup_lock(Path(sys.argv[1])):
        # a child has the file open too
        child = os.fork()
        if child:
            print(child, flush=True)
        time.sleep(60)

asyncio.run(hold())
"""


async def take(file: Path, seconds: float) -> None:
    async with asyncio.timeout(seconds), startup_lock(file):
        pass


def test_another_process_waits_for_its_turn_and_has_it_once_the_first_is_dead(tmp_path: Path) -> None:
    file = tmp_path / "start-gpu0.lock"
    holder = subprocess.Popen([sys.executable, "-c", _HOLD, str(file)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    child = int(holder.stdout.readline())
    try:
        with pytest.raises(TimeoutError):
            asyncio.run(take(file, 1))
        holder.kill()
        holder.wait()
        # its child lives on, and has no turn
        asyncio.run(take(file, 10))
    finally:
        holder.kill()
        os.kill(child, 9)
        holder.stdout.close()


def test_a_turn_ends_when_it_is_done_or_failed(tmp_path: Path) -> None:
    async def fail() -> None:
        async with startup_lock(tmp_path / "lock"):
            raise RuntimeError("no memory")

    with pytest.raises(RuntimeError, match="no memory"):
        asyncio.run(fail())
    asyncio.run(take(tmp_path / "lock", 5))
