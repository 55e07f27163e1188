"""What all tests share: how Ctrl-C reaches what they start, and which of them run in one process."""

from __future__ import annotations

import signal

import pytest

# A program for a process of its own, in which it takes modules' places: not to be imported in search of doctests.
collect_ignore = ["support/kernels.py"]

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # a shell that runs the tests in the background has them ignore Ctrl-C, and what they start would ignore it too
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """For `--dist loadgroup`: the tests of the shared server stay together, others with those of their file."""
    for item in items:
        shares_server = "server" in getattr(item, "fixturenames", ())
        item.add_marker(pytest.mark.xdist_group("server" if shares_server else str(item.path)))
