"""What all tests share: how Ctrl-C reaches what they start, and which of them run in one process."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.support.processes import ByServer

# A program for a process of its own, in which it takes modules' places: not to be imported in search of doctests.
collect_ignore = ["support/kernels.py"]

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # a shell that runs the tests in the background has them ignore Ctrl-C, and what they start would ignore it too
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByServer:
    """Whatever `--dist` says, so that no two processes start the shared server."""
    from tests.support.processes import ByServer

    return ByServer(config, log)
