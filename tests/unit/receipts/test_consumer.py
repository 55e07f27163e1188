"""The consumer on librdkafka's own mock of a cluster: what is not committed is lag."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator, Mapping
from functools import partial

import pytest
from confluent_kafka import Producer

from ocrvl_receipts.events import Message
from ocrvl_receipts.kafka.consumer import GroupConsumer, Partition
from ocrvl_receipts.metrics import WorkerMetrics
from ocrvl_receipts.settings import WorkerSettings
from tests.support.receipts import make_settings

TODO = Partition("receipts.todo", 0)
PAIR = "pair"
"""A topic with a message in each of two partitions."""


class Owner:
    """Gives back what it is told to."""

    offsets: Mapping[Partition, int] = {}

    async def release(self, partitions: Collection[Partition], *, lost: bool) -> Mapping[Partition, int]:
        return {} if lost else self.offsets


@pytest.fixture(scope="module")
def settings() -> Iterator[WorkerSettings]:
    """Of a mock cluster with ten messages in one partition; it lives as long as the client that made it."""
    client = Producer({"bootstrap.servers": "mock", "test.mock.num.brokers": 1})
    (broker,) = client.list_topics(timeout=10).brokers.values()
    for number in range(10):
        client.produce(TODO.topic, str(number), partition=TODO.number)
    for number in range(2):
        client.produce(PAIR, b"one", partition=number)
    assert client.flush(10) == 0
    yield make_settings(brokers=[f"{broker.host}:{broker.port}"], session_timeout=6)
    client.close()


def lag(metrics: WorkerMetrics) -> float | None:
    return metrics.registry.get_sample_value("ocrvl_pipeline_lag", {"topic": TODO.topic, "partition": "0"})


def test_lag_is_what_is_not_committed_and_the_owner_s_last_offsets_are_committed_at_the_end(
    settings: WorkerSettings,
) -> None:
    async def consume_some() -> None:
        metrics, owner = WorkerMetrics(), Owner()
        consumer = GroupConsumer(settings, [TODO.topic], owner, partial(metrics.set_lag, "group"))
        found: list[Message] = []
        while len(found) < 10:
            found += await consumer.poll(10, store={}, is_paused=lambda _: False)
        store = {TODO: 4}
        while lag(metrics) != 6:
            assert await consumer.poll(10, store=store, is_paused=lambda partition: partition == TODO) == []
        owner.offsets = {TODO: 7}
        await consumer.close()

    async def consume_the_rest() -> None:
        consumer = GroupConsumer(settings, [TODO.topic], Owner())
        found: list[Message] = []
        while len(found) < 3:
            found += await consumer.poll(10, store={}, is_paused=lambda _: False)
        await consumer.close()
        assert [one.value for one in found] == [b"7", b"8", b"9"]

    asyncio.run(asyncio.wait_for(consume_some(), 60))
    asyncio.run(asyncio.wait_for(consume_the_rest(), 60))


def test_a_partition_that_is_paused_gives_nothing_and_all_of_it_when_it_is_resumed(settings: WorkerSettings) -> None:
    async def scenario() -> None:
        consumer = GroupConsumer(settings.model_copy(update={"group": "another"}), [TODO.topic], Owner())
        first: list[Message] = []
        while not first:
            first = await consumer.poll(2, store={}, is_paused=lambda _: False)
        for _ in range(3):
            assert await consumer.poll(10, store={}, is_paused=lambda _: True) == []
        rest: list[Message] = []
        while len(first) + len(rest) < 10:
            rest += await consumer.poll(10, store={}, is_paused=lambda _: False)
        await consumer.close()
        assert [one.offset for one in (*first, *rest)] == list(range(10))

    asyncio.run(asyncio.wait_for(scenario(), 60))


def test_a_partition_that_comes_back_is_not_paused_since_it_was_when_it_went(settings: WorkerSettings) -> None:
    ours = settings.model_copy(update={"group": "back"})

    async def scenario() -> None:
        owner = Owner()
        first = GroupConsumer(ours, [PAIR], owner)

        async def poll(consumer: GroupConsumer, *, is_paused: bool) -> set[int]:
            found = await consumer.poll(100, store={}, is_paused=lambda _: is_paused)
            return {one.partition for one in found}

        while not await poll(first, is_paused=False):
            pass
        assert not await poll(first, is_paused=True)
        second = GroupConsumer(ours, [PAIR], Owner())
        while not (taken := await poll(second, is_paused=False)):
            await poll(first, is_paused=True)
        closing = asyncio.create_task(second.close())
        while not closing.done():
            await poll(first, is_paused=True)
        seen: set[int] = set()
        while not taken <= seen:
            seen |= await poll(first, is_paused=False)
        await first.close()

    asyncio.run(asyncio.wait_for(scenario(), 60))
