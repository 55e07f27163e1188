"""Child processes that do not outlive the process that started them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Final

_PROGRAM: Final = """\
import ctypes, os, signal, sys
PR_SET_PDEATHSIG = 1
ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
os.execvp(sys.argv[1], sys.argv[1:])
"""


def ending_with_us(command: Sequence[str]) -> list[str]:
    """The command for a child that is killed when the thread that started it ends, however it does.

    By SIGKILL, since a process that is stopped takes no other signal, and what these hold is of no use to anybody else.
    The child sets this itself, before it becomes the program: a `preexec_fn` may hang where the parent has threads.
    """
    return [sys.executable, "-I", "-S", "-c", _PROGRAM, *command]
