"""What can go wrong, and the exit status that says so."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """The exit statuses of `ocrvl read`.

    `REFUSED`: nothing was read, for a wrong argument or without a server. `LOST` and `UNWRITABLE` end a run in the
    middle; what was read until then is kept, and the same command goes on from there.
    """

    READ = 0
    SOME_FAILED = 1
    REFUSED = 2
    LOST = 3
    UNWRITABLE = 4
    INTERRUPTED = 130
    TERMINATED = 143


class InputError(Exception):
    """One input cannot be read; the message says why, without its name."""


class RunAborted(Exception):
    """The run cannot go on; the message is a sentence that says what happened and what to do."""

    status = Exit.REFUSED


class ServerNotFound(RunAborted):
    """There is no server at the start, or it does not have the model that is needed."""


class ServerLost(RunAborted):
    """The server went away in the middle and did not come back."""

    status = Exit.LOST


class OutputError(RunAborted):
    """Results cannot be written, this one and those to come."""

    status = Exit.UNWRITABLE
