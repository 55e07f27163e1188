"""Pages of PDFs and images, drawn in processes of their own: what hangs, crashes or takes all memory is ended alone.

PDFium and Pillow read files of strangers and nothing interrupts them: two kilobytes can keep PDFium busy for days.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ocrvl.errors import InvalidArgument


@dataclass(frozen=True)
class DrawTimes:
    """Seconds that opening a file or drawing one page of it may take, and drawing all its pages together."""

    page: float = 60.0
    document: float = 600.0


_TIMES: Final = DrawTimes()
_ENDS_MOST: Final = 2
"""Processes that one file may cost."""

_IDLE_MOST: Final = 2
_ONE_THREAD: Final = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
"""NumPy's libraries would take addresses for threads that have nothing to do."""


class _Ended(Exception):
    """The process has been ended, or has ended by itself; the message says which."""


class Drawer:
    """A process that draws, of one file at a time. For one thread at a time, but for `kill`."""

    def __init__(self) -> None:
        self._connection, theirs = multiprocessing.Pipe()
        self._process = subprocess.Popen(  # noqa: S603 - this interpreter
            [sys.executable, "-m", "ocrvl.models.document.pdfium", str(theirs.fileno())],
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            env={**os.environ, **_ONE_THREAD},
        )
        theirs.close()

    def open(self, data: bytes, seconds: float) -> int:
        """Open a file; how many pages it has. Raises `InvalidArgument` and `_Ended`."""
        return int(self._ask({"open": 1}, seconds, data)["count"])

    def close(self) -> None:
        """Close the file, for the next to be opened."""
        self._send({"close": 1})

    def draw(self, question: dict[str, int], seconds: float) -> tuple[npt.NDArray[np.uint8], str]:
        """As `PdfFile.draw`. Raises `InvalidArgument` and `_Ended`."""
        answer = self._ask(question, seconds)
        height, width, channels = answer["shape"]
        pixels = np.frombuffer(self._receive(seconds), np.uint8).reshape(height, width, channels)
        return pixels, str(answer["warning"])

    def kill(self) -> None:
        """End it, whatever it is doing."""
        self._process.kill()
        self._process.wait()

    def _ask(self, question: dict[str, int], seconds: float, data: bytes | None = None) -> dict[str, Any]:
        self._send(question, data)
        answer: dict[str, Any] = json.loads(self._receive(seconds))
        if "error" in answer:
            raise InvalidArgument(str(answer["error"]))
        return answer

    def _send(self, question: dict[str, int], data: bytes | None = None) -> None:
        # whether it is still there shows when its answer is waited for
        with suppress(OSError):
            self._connection.send_bytes(json.dumps(question).encode())
            if data is not None:
                self._connection.send_bytes(data)

    def _receive(self, seconds: float) -> bytes:
        try:
            if self._connection.poll(seconds):
                return self._connection.recv_bytes()
        except (EOFError, OSError):
            self.kill()
            raise _Ended("ends the program that draws it, or takes too much memory") from None
        self.kill()
        raise _Ended(f"takes more than {seconds:g} s to draw")


class Drawers:
    """The processes of a server: those that are done with a file wait for the next. Any thread may use it."""

    def __init__(self) -> None:
        self._idle: list[Drawer] = []
        self._lock = threading.Lock()

    def take(self) -> Drawer:
        """One that nobody else has."""
        with self._lock:
            return self._idle.pop() if self._idle else Drawer()

    def release(self, drawer: Drawer) -> None:
        """Take back one that works."""
        with self._lock:
            if len(self._idle) < _IDLE_MOST:
                self._idle.append(drawer)
                return
        drawer.kill()

    def close(self) -> None:
        """End those that wait."""
        with self._lock:
            while self._idle:
                self._idle.pop().kill()


class PdfPages:
    """`Pages` of a file; its bytes are kept, for another process where one is lost over a page."""

    def __init__(
        self, data: bytes, dpi: int, max_pixels: int, max_side: int, drawers: Drawers, times: DrawTimes = _TIMES
    ) -> None:
        self._data = data
        self._question = {"dpi": dpi, "max_pixels": max_pixels, "max_side": max_side}
        self._drawers = drawers
        self._seconds = times.page
        self._document_seconds = times.document
        self._spent = 0.0
        self._lock = threading.Lock()
        self._ends = 0
        drawer = drawers.take()
        try:
            self.count = drawer.open(data, times.page)
        except _Ended as error:
            raise InvalidArgument(f"the file {error}") from None
        except InvalidArgument:
            drawers.release(drawer)
            raise
        self._drawer: Drawer | None = drawer

    def draw(self, index: int) -> tuple[npt.NDArray[np.uint8], str]:
        """Its pixels, uint8 [height, width, 3], and a warning. Raises `InvalidArgument`."""
        with self._lock:
            if self._ends >= _ENDS_MOST:
                raise InvalidArgument(f"it is not drawn: {self._ends} pages before it could not be")
            if self._spent >= self._document_seconds:
                raise InvalidArgument(
                    f"it is not drawn: the pages before it took {self._document_seconds:g} s to draw; ask for it with "
                    "the option pages"
                )
            began = time.monotonic()
            try:
                if self._drawer is None:
                    self._drawer = self._drawers.take()
                    self._drawer.open(self._data, self._seconds)
                return self._drawer.draw({"index": index, **self._question}, self._seconds)
            except _Ended as error:
                self._drawer = None
                self._ends += 1
                raise InvalidArgument(f"the page {error}") from None
            finally:
                self._spent += time.monotonic() - began

    def close(self) -> None:
        """Give the process back, or end it where it is still drawing."""
        drawer = self._drawer
        if drawer is None:
            return
        if self._lock.acquire(blocking=False):
            self._drawer = None
            self._lock.release()
            drawer.close()
            self._drawers.release(drawer)
        else:
            drawer.kill()
