"""`ocrvl.launcher.log`: what becomes of a server's output."""

from __future__ import annotations

import errno

from ocrvl.launcher.log import LoadingLog
from ocrvl.launcher.server import follow_output


def test_a_log_on_a_full_disk_takes_nothing_with_it() -> None:
    written: list[str] = []

    def write(line: str) -> None:
        if line == "b":
            raise OSError(errno.ENOSPC, "No space left on device")
        written.append(line)

    log = LoadingLog()
    follow_output(["a\n", "b\n", "c\n"], log, write)
    assert (written, log.tail(3)) == (["a", "c"], ["a", "b", "c"])
