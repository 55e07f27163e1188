"""Lines for a log that is slow to take them."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable
from queue import SimpleQueue
from typing import Final

Write = Callable[[str], object]

_GATHER_SECONDS: Final = 0.2
_APART_SECONDS: Final = 0.001
_BEHIND_SECONDS: Final = 0.1
_MOST_WAITING: Final = 10_000
"""A line is about 300 bytes."""
_FULL_CHECK_SECONDS: Final = 0.01


class LogWriter:
    """Writes lines in a thread of its own, five times a second those that have come; any thread may add them.

    A stub of Triton 2.51 has one connection to its server for lines and questions. Who comes while it is in use waits
    with Python's lock held, and nothing else of this process runs in Python: lines of requests that are done together,
    as an engine's batch often is, would hold each other up and the next batch too. So they are written 1 ms apart, and
    `lock` is held while one is sent: others that use the connection can wait without Python's lock. Of more than 100
    lines that wait each gets less time. With 10,000 waiting, who adds another waits as well.
    """

    def __init__(self, lock: threading.Lock) -> None:
        self._lock = lock
        self._lines: SimpleQueue[tuple[Write, str]] = SimpleQueue()
        self._is_flushed = threading.Event()
        threading.Thread(target=self._write_all, name="log", daemon=True).start()

    def add(self, write: Write, line: str) -> None:
        """Have a line written by `write`."""
        while self._lines.qsize() >= _MOST_WAITING:
            time.sleep(_FULL_CHECK_SECONDS)
        self._lines.put((write, line))

    def flush(self) -> None:
        """Wait until all that were added are written; from now on nothing is spread."""
        self._is_flushed.set()
        done = threading.Event()
        self._lines.put((lambda _line: done.set(), ""))
        done.wait()

    def _write_all(self) -> None:
        while True:
            first = self._lines.get()
            # a thread that wakes for every line takes more time, and takes it from an engine on the same cores
            self._is_flushed.wait(_GATHER_SECONDS)
            self._write(*first)
            for _ in range(self._lines.qsize()):
                self._write(*self._lines.get())

    def _write(self, write: Write, line: str) -> None:
        with self._lock:
            try:
                write(line)
            except Exception:  # a line that is lost must not cost those that follow
                traceback.print_exc()
            if not self._is_flushed.is_set():
                time.sleep(min(_APART_SECONDS, _BEHIND_SECONDS / (1 + self._lines.qsize())))
