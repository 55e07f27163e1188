"""`python -m perf bench` from end to end: every system starts, reads all classes of images, and stops."""

from __future__ import annotations

import asyncio
import ctypes
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import psutil
import pytest

from perf.bench.open import open_one_at_a_time
from perf.bench.workload import NANO, THIN, Size, draw_images
from perf.figures.data import load
from tests.support.doubles import WAIT_SECONDS
from tests.support.starting import one_at_a_time

_PR_SET_CHILD_SUBREAPER = 36


@pytest.fixture
def left() -> Iterator[Callable[[], list[psutil.Process]]]:
    """What a test has started and not ended: orphans come to this process, and nobody else's processes do."""
    set_subreaper = partial(ctypes.CDLL(None).prctl, _PR_SET_CHILD_SUBREAPER)
    before = set(psutil.Process().children(recursive=True))
    set_subreaper(1)
    yield lambda: [process for process in psutil.Process().children(recursive=True) if process not in before]
    set_subreaper(0)


@pytest.mark.timeout(600)
def test_every_system_reads_every_class_of_images(tmp_path: Path, left: Callable[[], list[psutil.Process]]) -> None:
    output = tmp_path / "samples.json"
    arguments = [
        "--benchmark",
        "thin",
        "--rounds",
        "1",
        "--samples",
        str(output),
        "--output",
        str(tmp_path / "figures.json"),
    ]
    command = [sys.executable, "-m", "perf", "bench", *arguments]
    with one_at_a_time():
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=580)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    samples = json.loads(output.read_text())["thin"]
    measured = {(sample["system"], sample["size"], sample["in_flight"] > 1) for sample in samples}
    assert measured == {
        (system, size, in_flight) for system in THIN.systems for size in Size for in_flight in (False, True)
    }
    figures = load("figures", tmp_path)
    assert figures.number("images_per_second", workload="line", system="this server") > 0
    # one token was asked for, and came from each
    assert all(sample["tokens"] == len(sample["latencies"]) for sample in samples)
    # Python's trackers of shared resources end by themselves
    assert psutil.wait_procs(left(), timeout=WAIT_SECONDS)[1] == []


def test_a_server_that_reads_one_at_a_time_reads_what_comes_at_once(tmp_path: Path) -> None:
    images = {size: files[:2] for size, files in draw_images().items()}
    with open_one_at_a_time(NANO, NANO.write_checkpoint(tmp_path), images, tmp_path / "system") as system:
        answers = asyncio.run(system.read(Size.LINE, 2, 2, 0))
        (_, process), *_ = system.processes()
    assert [0 < tokens <= NANO.max_tokens[Size.LINE] for _, tokens in answers] == [True, True]
    assert not process.is_running()
