"""What can go wrong, and the exit status that says so."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """The exit statuses of `ocrvl read`.

    `REFUSED`: nothing was begun, for a wrong argument or for want of a server. `LOST` and `UNWRITABLE` end a run in the
    middle; what was read until then is kept, and the same command goes on from there.
    """

    READ = 0
    SOME_FAILED = 1
    REFUSED = 2
    LOST = 3
    UNWRITABLE = 4
    INTERRUPTED = 130
    TERMINATED = 143


class InputProblem(Exception):
    """One input cannot be read; the message says why, without its name."""


class RunEnded(Exception):
    """The run cannot go on; the message is a sentence that says what happened and what to do."""

    status = Exit.REFUSED


class NoServer(RunEnded):
    """There is no server to begin with, or it does not have what is asked for."""


class ServerLost(RunEnded):
    """The server went away in the middle and did not come back."""

    status = Exit.LOST


class CanNotWrite(RunEnded):
    """Results cannot be written, this one and those to come."""

    status = Exit.UNWRITABLE
