"""What integration tests share: one real server with the real engine, and images whose text is known."""

from __future__ import annotations

import os
from collections.abc import Iterator
from random import Random

import pytest

from ocrvl.launcher.server import TritonServer
from perf.harness.server import server_options
from tests.support.starting import start_server
from training.nano.fonts import FontMissing
from training.nano.paint import Drawing
from training.nano.world import World

# An engine's threads spin while they wait for each other: where others have the cores, two of them take three to seven
# times the processor time of one for the same texts.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def server_log() -> list[str]:
    """The lines that the shared server has logged so far."""
    return []


@pytest.fixture(scope="session")
def server(server_log: list[str]) -> Iterator[TritonServer]:
    """A Triton server with the embedded checkpoint; starting it takes tens of seconds, so all tests share it."""
    # streams that tests break off hold Triton up until its exit timeout
    with start_server(server_options(exit_timeout=5), server_log.append) as running:
        yield running


@pytest.fixture
def drawing() -> Drawing:
    """A line of printed text."""
    try:
        return World(Random(7)).line("Soup of the day")
    except FontMissing as error:
        pytest.skip(str(error))


@pytest.fixture
def png(drawing: Drawing) -> bytes:
    """The same line as a PNG file."""
    return drawing.png()
