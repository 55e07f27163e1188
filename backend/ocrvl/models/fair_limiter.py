"""Limits what some requests have read at the engine, fairly: they alternate, however many parts each has waiting."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ocrvl.engine_settings import EngineSettings


class FairLimiter:
    """At most `size` parts, blocks or lines, are admitted at a time. Use from one event loop."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._free = size
        self._waiting: OrderedDict[object, deque[tuple[int, asyncio.Future[None]]]] = OrderedDict()

    @property
    def admitted(self) -> int:
        """Parts that were admitted and have not left."""
        return self._size - self._free

    @asynccontextmanager
    async def enter(self, request: object, parts: int) -> AsyncIterator[None]:
        """Wait until this many parts of a request are admitted; they leave with the context."""
        parts = min(parts, self._size)
        granted = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(request, deque()).append((parts, granted))
        self._grant()
        try:
            await granted
            yield
        finally:
            if granted.done() and not granted.cancelled():
                self._free += parts
            else:
                granted.cancel()
            self._grant()

    def _grant(self) -> None:
        while self._waiting:
            request, queue = next(iter(self._waiting.items()))
            while queue and queue[0][1].cancelled():
                queue.popleft()
            if not queue:
                del self._waiting[request]
                continue
            parts, granted = queue[0]
            if parts > self._free:
                return
            queue.popleft()
            self._free -= parts
            granted.set_result(None)
            self._waiting.move_to_end(request)


def half_of(engine: EngineSettings, least: int) -> int:
    """Half of what an engine runs at once, at least `least`: enough to keep it busy beside other callers."""
    return max(least, engine.max_num_seqs // 2)
