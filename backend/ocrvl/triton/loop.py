"""An event loop in a thread of its own, beside the thread in which Triton calls `execute`."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")


class LoopThread:
    """Runs coroutines; `executor` is for their blocking calls.

    `drain` before `stop`, or callers whose requests are running are left without an answer.
    """

    def __init__(self, name: str, executor: ThreadPoolExecutor | None = None) -> None:
        self._loop = asyncio.new_event_loop()
        if executor:
            self._loop.set_default_executor(executor)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)
        self._thread.start()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine and wait for its result."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def submit(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine that takes care of its own errors; returns at once."""
        self._loop.call_soon_threadsafe(self.create_task, coroutine)

    def create_task(self, coroutine: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """As `asyncio.create_task`, for callers on this loop: a task that `drain` waits for."""
        task = self._loop.create_task(coroutine)
        # the loop itself holds only weak references to tasks
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def drain(self) -> None:
        """Wait until everything that was submitted has ended."""
        self.run(self._drain())

    def stop(self) -> None:
        """End the thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    async def _drain(self) -> None:
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)
