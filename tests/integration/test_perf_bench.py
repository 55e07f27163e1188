"""`perf.bench` from end to end: every way starts, reads all classes of images, and stops."""

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

from perf.bench.systems import open_one_at_a_time
from perf.bench.workload import NANO, Size, draw_images
from tests.support.doubles import PATIENCE

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
def test_every_way_reads_every_class_of_images(tmp_path: Path, left: Callable[[], list[psutil.Process]]) -> None:
    output = tmp_path / "figures.json"
    arguments = ["--table", "thin", "--ways", "ours,a,b,c,e", "--rounds", "1", "--output", str(output)]
    done = subprocess.run(
        [sys.executable, "-m", "perf.bench", *arguments], capture_output=True, text=True, check=False, timeout=580
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    samples = json.loads(output.read_text())["thin"]
    measured = {(sample["way"], sample["size"], sample["together"] > 1) for sample in samples}
    assert measured == {
        (way, size, together) for way in ("ours", "a", "b", "c", "e") for size in Size for together in (False, True)
    }
    # one token was asked for, and came from each
    assert all(sample["tokens"] == len(sample["latencies"]) for sample in samples)
    # Python's trackers of shared resources end by themselves
    assert psutil.wait_procs(left(), timeout=PATIENCE)[1] == []


def test_the_traditional_way_reads_what_comes_at_once(tmp_path: Path) -> None:
    images = {size: files[:2] for size, files in draw_images().items()}
    with open_one_at_a_time(NANO, NANO.write_checkpoint(tmp_path), images, tmp_path / "way") as way:
        answers = asyncio.run(way.read(Size.LINE, 2, 2, 0))
        (_, process), *_ = way.processes()
    assert [0 < tokens <= NANO.max_tokens[Size.LINE] for _, tokens in answers] == [True, True]
    assert not process.is_running()
