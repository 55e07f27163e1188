"""Limits the blocks of documents at the engine, fairly: documents alternate, however many blocks each has waiting."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class FairLimiter:
    """At most `size` blocks are admitted at a time. Use from one event loop."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._free = size
        self._waiting: OrderedDict[object, deque[tuple[int, asyncio.Future[None]]]] = OrderedDict()

    @property
    def admitted(self) -> int:
        """Blocks that were admitted and have not left."""
        return self._size - self._free

    @asynccontextmanager
    async def enter(self, document: object, blocks: int) -> AsyncIterator[None]:
        """Wait until this many blocks of a document are admitted; they leave with the context."""
        blocks = min(blocks, self._size)
        granted = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(document, deque()).append((blocks, granted))
        self._grant()
        try:
            await granted
            yield
        finally:
            if granted.done() and not granted.cancelled():
                self._free += blocks
            else:
                granted.cancel()
            self._grant()

    def _grant(self) -> None:
        while self._waiting:
            document, queue = next(iter(self._waiting.items()))
            while queue and queue[0][1].cancelled():
                queue.popleft()
            if not queue:
                del self._waiting[document]
                continue
            blocks, granted = queue[0]
            if blocks > self._free:
                return
            queue.popleft()
            self._free -= blocks
            granted.set_result(None)
            self._waiting.move_to_end(document)
