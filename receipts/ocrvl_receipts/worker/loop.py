"""The worker's loop: takes messages while its window has room, and gives partitions back drained."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping
from typing import Final, Protocol

from ocrvl_receipts.errors import Released
from ocrvl_receipts.events import Message
from ocrvl_receipts.kafka.consumer import Partition
from ocrvl_receipts.metrics import WorkerMetrics
from ocrvl_receipts.settings import WorkerSettings
from ocrvl_receipts.worker.failures import seconds_until_due
from ocrvl_receipts.worker.offsets import OffsetTracker
from ocrvl_receipts.worker.window import Window

_LOG: Final = logging.getLogger(__name__)


class Source(Protocol):
    """What is asked of the consumer."""

    async def poll(
        self, max_messages: int, *, store: Mapping[Partition, int], is_paused: Callable[[Partition], bool]
    ) -> list[Message]:
        """As `GroupConsumer.poll`."""

    async def close(self) -> None:
        """As `GroupConsumer.close`."""


class Process(Protocol):
    """Brings one message to its end."""

    async def process(self, message: Message, leaving: asyncio.Event) -> None:
        """As `Processor.process`."""


class _Assigned:
    """One partition of ours: what of it is taken, what waits until it is due, and whether it goes to another worker."""

    def __init__(self) -> None:
        self.offsets = OffsetTracker()
        self.held: deque[Message] = deque()
        self.leaving = asyncio.Event()
        self.tasks: set[asyncio.Task[None]] = set()
        self.stored: int | None = None


class Worker:
    """Works on the partitions that its group gives it, as far as the window has room.

    While it has none its partitions are paused; one of a retry topic is paused until its next message is due.
    """

    def __init__(
        self,
        settings: WorkerSettings,
        processor: Process,
        metrics: WorkerMetrics,
        window: Window,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._processor = processor
        self._metrics = metrics
        self._window = window
        self._clock = clock
        self._partitions: dict[Partition, _Assigned] = {}
        self._is_full = False
        self._failure: BaseException | None = None

    async def run(self, source: Source, stop: asyncio.Event) -> None:
        """Work until `stop` is set; then drain, commit and leave the group."""
        try:
            while not stop.is_set() and self._failure is None:
                await self._step(source)
        finally:
            await source.close()
        if self._failure is not None:
            raise self._failure

    async def release(self, partitions: Collection[Partition], *, lost: bool) -> Mapping[Partition, int]:
        """As `Owner.release`: what waits is left, what is in flight gets `drain_timeout` seconds, or none if lost."""
        released = {
            partition: assigned for partition in partitions if (assigned := self._partitions.pop(partition, None))
        }
        tasks = {task for assigned in released.values() for task in assigned.tasks}
        for assigned in released.values():
            assigned.leaving.set()
        if tasks and not lost:
            await asyncio.wait(tasks, timeout=self._settings.drain_timeout)
        left = [task for task in tasks if not task.done()]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        if left:
            _LOG.warning("%d receipts were left in flight, they are read again", len(left))
        if lost:
            return {}
        offsets = {partition: assigned.offsets.next_offset for partition, assigned in released.items()}
        return {partition: offset for partition, offset in offsets.items() if offset is not None}

    async def _step(self, source: Source) -> None:
        self._take_due()
        room = self._window.room
        # some hysteresis, since what was fetched ahead of a pause is fetched again after it
        self._is_full = room <= (self._window.size // 4 if self._is_full else 0)
        for message in await source.poll(max(1, room), store=self._offsets(), is_paused=self._is_paused):
            self._partition(message).held.append(message)
        self._take_due()

    def _is_paused(self, partition: Partition) -> bool:
        assigned = self._partitions.get(partition)
        return self._is_full or (assigned is not None and bool(assigned.held))

    def _count_taken(self) -> None:
        # what is held until it is due is not taken: it is small, and keeps no upload waiting
        self._window.set_taken(self, sum(len(assigned.offsets) for assigned in self._partitions.values()))

    def _offsets(self) -> dict[Partition, int]:
        """The offsets to store that are new since the last time."""
        offsets = {}
        for partition, assigned in self._partitions.items():
            offset = assigned.offsets.next_offset
            if offset is not None and offset != assigned.stored:
                offsets[partition] = assigned.stored = offset
        return offsets

    def _partition(self, message: Message) -> _Assigned:
        return self._partitions.setdefault(Partition(message.topic, message.partition), _Assigned())

    def _take_due(self) -> None:
        """Begin with what was held, up to the first message of each partition that is not due, or finds no room."""
        now = self._clock()
        self._count_taken()
        for assigned in self._partitions.values():
            while assigned.held and self._window.room > 0 and seconds_until_due(assigned.held[0], now) <= 0:
                message = assigned.held.popleft()
                assigned.offsets.take(message.offset)
                self._count_taken()
                task = asyncio.create_task(self._work(message, assigned))
                assigned.tasks.add(task)
                task.add_done_callback(assigned.tasks.discard)

    async def _work(self, message: Message, assigned: _Assigned) -> None:
        async with self._window.slots:
            if assigned.leaving.is_set():
                return
            try:
                with self._metrics.in_flight.track_inprogress():
                    await self._processor.process(message, assigned.leaving)
                assigned.offsets.finish(message.offset)
            except Released:
                return
            except Exception as error:
                # a message that cannot even be put away: the worker ends, and its messages are read again
                self._failure = error
