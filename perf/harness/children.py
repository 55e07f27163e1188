"""Child processes that do not outlive the process that started them."""

from __future__ import annotations

import ctypes
import signal
from typing import Final

_PR_SET_PDEATHSIG: Final = 1
_LIBC: Final = ctypes.CDLL(None)


def end_with_parent() -> None:
    """In the child, before its program (`preexec_fn`): be killed when the thread that started it ends, however it does.

    A SIGKILL, since a process that is stopped takes no other signal, and what these hold is of no use to anybody else.
    """
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
