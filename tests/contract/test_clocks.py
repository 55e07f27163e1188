"""Clocks that are set, ahead or back, move no deadline: the server reads the wall clock for what it publishes alone."""

from __future__ import annotations

import re
from pathlib import Path

import ocrvl

_WALL_CLOCK = re.compile(r"\btime\.time\b|\bdatetime\b|set_to_current_time|\btime_ns\b|CLOCK_REALTIME")
_PUBLISHED = {
    # when an engine did its last step, and when a process last beat: an operator compares them with other clocks
    "models/engine/model.py",
    "models/background.py",
    # printed dates, and no clock
    "models/fields/dates.py",
}


def test_the_wall_clock_is_read_for_times_that_are_published_and_for_nothing_else() -> None:
    package = Path(ocrvl.__file__).parent
    readers = {
        str(file.relative_to(package)) for file in package.rglob("*.py") if _WALL_CLOCK.search(file.read_text("utf-8"))
    }
    assert readers == _PUBLISHED
