"""How much a process takes: its workers, for uploads and for retries, share it."""

from __future__ import annotations

import asyncio

from ocrvl_receipts.metrics import WorkerMetrics
from ocrvl_receipts.settings import WorkerSettings


class Window:
    """Room for `window` messages that are taken and not committed, and slots for `concurrency` of them at a time."""

    def __init__(self, settings: WorkerSettings, metrics: WorkerMetrics) -> None:
        self.size = settings.window
        self.slots = asyncio.Semaphore(settings.concurrency)
        self._metrics = metrics
        self._taken: dict[object, int] = {}

    @property
    def room(self) -> int:
        """How many more may be taken."""
        return self.size - sum(self._taken.values())

    def set_taken(self, worker: object, count: int) -> None:
        """How many a worker has taken by now."""
        self._taken[worker] = count
        self._metrics.taken.set(sum(self._taken.values()))
