"""The worker's loop: its window, what it stores, pauses and releases; with a consumer that a test decides."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import pytest

from ocrvl_receipts.errors import Released
from ocrvl_receipts.events import Message
from ocrvl_receipts.kafka.consumer import Partition
from ocrvl_receipts.metrics import WorkerMetrics
from ocrvl_receipts.worker.loop import Worker
from ocrvl_receipts.worker.window import Window
from tests.support.receipts import make_message, make_settings, until

TODO, RETRY = Partition("receipts.todo", 0), Partition("receipts.retry-1", 0)


class FakeSource:
    """A consumer of one partition each; gives what is queued unless it is paused, and keeps what it was told."""

    def __init__(self, *messages: Message) -> None:
        self.queue = list(messages)
        self.stored: dict[Partition, int] = {}
        self.paused: set[Partition] = set()
        self.polls = 0
        self.is_closed = False

    async def poll(
        self, max_messages: int, *, store: Mapping[Partition, int], is_paused: Callable[[Partition], bool]
    ) -> list[Message]:
        await asyncio.sleep(0.001)
        self.polls += 1
        self.stored.update(store)
        self.paused = {partition for partition in (TODO, RETRY) if is_paused(partition)}
        ready = [message for message in self.queue if Partition(message.topic, message.partition) not in self.paused]
        given = ready[:max_messages]
        self.queue = [message for message in self.queue if message not in given]
        return given

    async def close(self) -> None:
        self.is_closed = True


class Gate:
    """A process whose messages finish when a test lets them; `running` and `finished` are offsets."""

    def __init__(self) -> None:
        self.running: set[int] = set()
        self.finished: list[int] = []
        self.most = 0
        self._open: dict[int, asyncio.Event] = {}
        self.error: Exception | None = None

    def let(self, *offsets: int) -> None:
        for offset in offsets:
            self._open.setdefault(offset, asyncio.Event()).set()

    async def process(self, message: Message, leaving: asyncio.Event) -> None:
        if self.error is not None:
            raise self.error
        self.running.add(message.offset)
        self.most = max(self.most, len(self.running))
        try:
            await self._open.setdefault(message.offset, asyncio.Event()).wait()
        finally:
            self.running.discard(message.offset)
        self.finished.append(message.offset)


class Run:
    """A worker, its process and its source."""

    def __init__(self, *messages: Message, concurrency: int = 4, window: int = 8, drain: float = 20.0) -> None:
        settings = make_settings(concurrency=concurrency, window=window, drain_timeout=drain)
        self.gate = Gate()
        self.source = FakeSource(*messages)
        self.now = 1_800_000_000.0
        self.settings = settings

    def run(self, scenario: Callable[[], Awaitable[None]]) -> None:
        async def main() -> None:
            stop, metrics = asyncio.Event(), WorkerMetrics()
            window = self.window = Window(self.settings, metrics)
            self.worker = Worker(self.settings, self.gate, metrics, window, clock=lambda: self.now)
            running = asyncio.create_task(self.worker.run(self.source, stop))
            try:
                await scenario()
            finally:
                stop.set()
                await asyncio.wait([running])
            running.result()

        asyncio.run(main())


def messages(count: int) -> list[Message]:
    return [make_message(offset=offset) for offset in range(count)]


def test_no_more_are_in_flight_than_allowed_and_no_more_taken_than_the_window() -> None:
    run = Run(*messages(30))

    async def scenario() -> None:
        await until(lambda: run.source.paused == {TODO, RETRY})
        assert len(run.gate.running) == 4
        assert len(run.source.queue) == 30 - 8
        run.gate.let(*range(30))
        await until(lambda: len(run.gate.finished) == 30)

    run.run(scenario)
    assert run.gate.most == 4
    assert sorted(run.gate.finished) == list(range(30))


def test_it_polls_on_while_all_is_paused_and_resumes_when_there_is_room() -> None:
    run = Run(*messages(9))

    async def scenario() -> None:
        await until(lambda: bool(run.source.paused))
        polls = run.source.polls
        await until(lambda: run.source.polls > polls + 3)
        run.gate.let(*range(9))
        await until(lambda: not run.source.paused and not run.source.queue)

    run.run(scenario)


def test_the_offset_after_the_last_without_a_gap_is_stored() -> None:
    run = Run(*messages(4))

    async def scenario() -> None:
        await until(lambda: len(run.gate.running) == 4)
        run.gate.let(1, 2)
        await until(lambda: len(run.gate.finished) == 2)
        polls = run.source.polls
        await until(lambda: run.source.polls > polls + 2)
        assert run.source.stored == {}
        run.gate.let(0)
        await until(lambda: run.source.stored == {TODO: 3})
        run.gate.let(3)
        await until(lambda: run.source.stored == {TODO: 4})

    run.run(scenario)


def test_a_message_of_a_retry_topic_waits_until_it_is_due_and_those_behind_it_with_it() -> None:
    run = Run()
    due = str(round(run.now * 1000) + 10_000)
    run.source.queue = [
        make_message(offset=5, topic=RETRY.topic, ocrvl_not_before=due),
        make_message(offset=6, topic=RETRY.topic, ocrvl_not_before=due),
        make_message(offset=0),
    ]
    run.gate.let(0, 5, 6)

    async def scenario() -> None:
        await until(lambda: run.source.paused == {RETRY})
        await until(lambda: run.gate.finished == [0])
        polls = run.source.polls
        await until(lambda: run.source.polls > polls + 3)
        assert run.gate.finished == [0]
        run.now += 10
        await until(lambda: run.source.stored == {TODO: 1, RETRY: 7} and not run.source.paused)

    run.run(scenario)


def test_retries_that_are_not_due_leave_the_window_to_uploads_and_are_taken_as_it_has_room() -> None:
    run = Run()
    due = str(round(run.now * 1000) + 10_000)
    retries = [make_message(offset=offset, topic=RETRY.topic, ocrvl_not_before=due) for offset in range(100, 116)]
    run.source.queue = retries

    async def scenario() -> None:
        await until(lambda: run.source.paused == {RETRY})
        run.source.queue += messages(8)
        run.gate.let(*range(8))
        await until(lambda: len(run.gate.finished) == 8)
        run.now += 10
        await until(lambda: len(run.gate.running) == 4)
        assert run.window.room == 0
        run.gate.let(*range(100, 116))
        await until(lambda: run.source.stored == {TODO: 8, RETRY: 116})

    run.run(scenario)


def test_a_revoked_partition_is_drained_and_its_offset_given_back() -> None:
    run = Run(*messages(6), concurrency=2)

    async def scenario() -> None:
        await until(lambda: run.gate.running == {0, 1})
        releasing = asyncio.create_task(run.worker.release([TODO], lost=False))
        await asyncio.sleep(0)
        assert not releasing.done()
        run.gate.let(*range(6))
        assert await releasing == {TODO: 2}

    run.run(scenario)
    assert run.gate.finished == [0, 1]


def test_what_does_not_finish_in_time_is_cancelled_and_not_committed() -> None:
    run = Run(*messages(3), drain=0.05)

    async def scenario() -> None:
        await until(lambda: len(run.gate.running) == 3)
        run.gate.let(0, 2)
        assert await run.worker.release([TODO], lost=False) == {TODO: 1}
        assert not run.gate.running

    run.run(scenario)


def test_of_a_lost_partition_nothing_is_waited_for_nor_committed() -> None:
    run = Run(*messages(3))

    async def scenario() -> None:
        await until(lambda: len(run.gate.running) == 3)
        run.gate.let(0)
        await until(lambda: run.source.stored == {TODO: 1})
        assert await run.worker.release([TODO], lost=True) == {}
        assert not run.gate.running

    run.run(scenario)


def test_a_partition_that_comes_back_begins_anew() -> None:
    run = Run(*messages(2))

    async def scenario() -> None:
        await until(lambda: len(run.gate.running) == 2)
        await run.worker.release([TODO], lost=True)
        run.source.queue = messages(2)
        run.gate.let(0, 1)
        await until(lambda: run.source.stored == {TODO: 2})

    run.run(scenario)


def test_what_is_released_is_not_committed() -> None:
    run = Run(make_message())
    run.gate.error = Released()

    async def scenario() -> None:
        polls = run.source.polls
        await until(lambda: not run.source.queue and run.source.polls > polls + 3)

    run.run(scenario)
    assert run.source.stored == {}


def test_a_stop_closes_the_consumer() -> None:
    run = Run()

    async def scenario() -> None:
        await until(lambda: run.source.polls > 0)

    run.run(scenario)
    assert run.source.is_closed


def test_a_message_that_cannot_even_be_put_away_ends_the_worker_with_its_error() -> None:
    run = Run(make_message())
    run.gate.error = ZeroDivisionError("oh")

    async def scenario() -> None:
        await until(lambda: run.source.is_closed)

    with pytest.raises(ZeroDivisionError):
        run.run(scenario)
    assert run.source.stored == {}
