"""Requests whose parts the engine reads, blocks of a page or lines of a receipt: what their models do alike."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from typing import Any, Final, TypeVar

from ocrvl.errors import Unavailable, error_from_message
from ocrvl.wire import PART_PARAMETER

PART: Final = {PART_PARAMETER: True}
"""The parameters of a call for a part: it has no line of its own in the log."""

_RETRY_SECONDS: Final = 1.0

P = TypeVar("P")
T = TypeVar("T")


async def read_in_groups(
    parts: Sequence[P], size: int, read: Callable[[Sequence[P]], Coroutine[Any, Any, Sequence[T]]]
) -> list[T]:
    """What `read` makes of all parts, `size` to a call, in their order. Raises the first error of a call."""
    groups = [parts[start : start + size] for start in range(0, len(parts), size)]
    try:
        async with asyncio.TaskGroup() as tasks:
            readings = [tasks.create_task(read(group)) for group in groups]
    except ExceptionGroup as failures:
        # whoever waits knows what to do with one of ours, such as an engine that restarts
        raise failures.exceptions[0] from None
    return [one for reading in readings for one in reading.result()]


async def retry_unavailable(call: Callable[[], Awaitable[T]], seconds: float) -> T:
    """What `call` gives; it is made again for so many seconds while a model is full or its engine restarts."""
    ends_at = time.monotonic() + seconds
    while True:
        try:
            return await call()
        except Unavailable:
            if time.monotonic() >= ends_at:
                raise
            await asyncio.sleep(_RETRY_SECONDS)


def check_engine(errors: Iterable[str]) -> None:
    """Raise `Unavailable` where a part was not read for the engine's sake, by the parts' errors.

    That is no error of the part, which can be read when the engine is there again.
    """
    for error in filter(None, errors):
        known = error_from_message(error)
        if isinstance(known, Unavailable):
            raise known
