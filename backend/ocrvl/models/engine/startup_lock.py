"""Engines that share a GPU start one after another."""

from __future__ import annotations

import asyncio
import errno
import fcntl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

_POLL_SECONDS: Final = 0.2


@asynccontextmanager
async def startup_lock(file: Path) -> AsyncIterator[None]:
    """Have the file to oneself among the processes of this machine; wait for as long as another has it.

    vLLM measures what its model takes of the GPU, and counts as its own what anyone else takes meanwhile: of two
    engines that start together one finds no memory for its KV cache. A process that dies releases the lock, and a child
    of its does not inherit it (fcntl(2), record locks).
    """
    with file.open("w") as held:
        # other processes tell no event of this one's
        while not _has_taken(held.fileno()):  # noqa: ASYNC110
            await asyncio.sleep(_POLL_SECONDS)
        yield


def _has_taken(descriptor: int) -> bool:
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EAGAIN):
            raise
        return False
    return True
