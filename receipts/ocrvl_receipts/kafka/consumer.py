"""A member of a consumer group: its calls run on one thread, and what they lead to in the event loop."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Final, NamedTuple, Protocol

from confluent_kafka import Consumer as Client
from confluent_kafka import KafkaException, TopicPartition

from ocrvl_receipts.events import Message
from ocrvl_receipts.kafka.connection import client_config, decode_message
from ocrvl_receipts.settings import WorkerSettings

_LOG: Final = logging.getLogger(__name__)
_POLL_SECONDS: Final = 0.1
_COMMIT_MS: Final = 500
_STATISTICS_MS: Final = 2000


class Partition(NamedTuple):
    """A partition of a topic."""

    topic: str
    number: int


class Owner(Protocol):
    """Who works on the partitions."""

    async def release(self, partitions: Collection[Partition], *, lost: bool) -> Mapping[Partition, int]:
        """Finish or leave what these partitions have in flight: the offsets to commit, each the next to be read.

        Of partitions that are `lost` nothing can be committed any more, since others have them.
        """


Lag = Callable[[Mapping[tuple[str, int], int]], None]


class GroupConsumer:
    """Consumes topics as one of a group, the settings' unless another is given.

    Offsets that are stored are committed twice a second, and before a rebalance. `owner` is asked before partitions go
    to another member; `report_lag` gets the messages that each partition holds beyond what is committed. Make it in the
    event loop that polls.
    """

    def __init__(
        self,
        settings: WorkerSettings,
        topics: Collection[str],
        owner: Owner,
        report_lag: Lag = lambda _: None,
        *,
        group: str | None = None,
    ) -> None:
        self._owner = owner
        self._report_lag = report_lag
        self._loop = asyncio.get_running_loop()
        self._assigned: set[Partition] = set()
        self._paused: set[Partition] = set()
        self._thread = ThreadPoolExecutor(1, "kafka-consumer")
        self._client = Client(_config(settings, group or settings.group, self._on_statistics))
        self._client.subscribe(
            list(topics), on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
        )

    async def poll(
        self, max_messages: int, *, store: Mapping[Partition, int], is_paused: Callable[[Partition], bool]
    ) -> list[Message]:
        """Store these offsets, pause what is to be paused, then wait a tenth of a second for messages.

        It must be called every few minutes, also where all is paused: rebalances happen within it.
        """
        messages: list[Message] = await self._run(self._poll, max_messages, store, is_paused)
        return messages

    async def close(self) -> None:
        """Have the owner release its partitions, commit, and leave the group."""
        await self._run(self._client.close)
        self._thread.shutdown()

    async def _run(self, call: Callable[..., Any], *arguments: Any) -> Any:
        return await self._loop.run_in_executor(self._thread, call, *arguments)

    def _poll(
        self, max_messages: int, store: Mapping[Partition, int], is_paused: Callable[[Partition], bool]
    ) -> list[Message]:
        for partition, offset in store.items():
            # revoked meanwhile: then the owner has given its offset already
            with suppress(KafkaException):
                self._client.store_offsets(offsets=[_at(partition, offset)])
        self._pause(is_paused)
        messages = []
        # it waits until there are as many as it is asked for: so for one, and the others as far as they are there
        arrived = self._client.consume(1, _POLL_SECONDS)
        if arrived and max_messages > 1:
            arrived += self._client.consume(max_messages - 1, 0)
        for found in arrived:
            if (error := found.error()) is not None:
                _LOG.warning("kafka: %s", error.str())
            else:
                messages.append(decode_message(found))
        return messages

    def _pause(self, is_paused: Callable[[Partition], bool]) -> None:
        paused = {partition for partition in self._assigned if is_paused(partition)}
        if new := paused - self._paused:
            self._client.pause([_at(partition) for partition in new])
        if old := (self._paused & self._assigned) - paused:
            self._client.resume([_at(partition) for partition in old])
        self._paused = paused

    def _on_assign(self, _client: Any, partitions: list[TopicPartition]) -> None:
        assigned = set(map(_partition, partitions))
        self._assigned |= assigned
        # one that was paused when it went still is: the client remembers that of partitions that it had before
        self._paused |= assigned
        _LOG.info("assigned: %s", _names(assigned))

    def _on_revoke(self, client: Client, partitions: list[TopicPartition]) -> None:
        if offsets := [_at(*each) for each in self._release(partitions, lost=False).items()]:
            try:
                # stored as well: the client commits once more what is stored, after this
                client.store_offsets(offsets=offsets)
                client.commit(offsets=offsets, asynchronous=False)
            except KafkaException as error:
                # at least once: who has the partition next reads these receipts again
                _LOG.warning("not committed: %s", error.args[0].str())

    def _on_lost(self, _client: Client, partitions: list[TopicPartition]) -> None:
        self._release(partitions, lost=True)

    def _release(self, partitions: list[TopicPartition], *, lost: bool) -> Mapping[Partition, int]:
        revoked = set(map(_partition, partitions))
        _LOG.info("%s: %s", "lost" if lost else "revoked", _names(revoked))
        releasing = asyncio.run_coroutine_threadsafe(self._owner.release(revoked, lost=lost), self._loop)
        offsets = releasing.result()
        self._assigned -= revoked
        self._paused -= revoked
        return offsets

    def _on_statistics(self, text: str) -> None:
        lag: dict[tuple[str, int], int] = dict.fromkeys(self._assigned, 0)
        for topic, values in json.loads(text).get("topics", {}).items():
            for number, found in values["partitions"].items():
                if (partition := Partition(topic, int(number))) in lag:
                    # negative is not known: nothing fetched yet, nothing ever committed
                    begin = max(found["committed_offset"], found["lo_offset"], 0)
                    lag[partition] = max(found["hi_offset"] - begin, 0)
        self._report_lag(lag)


def _config(settings: WorkerSettings, group: str, on_statistics: Callable[[str], None]) -> dict[str, Any]:
    session = round(settings.session_timeout * 1000)
    return {
        "partition.assignment.strategy": "cooperative-sticky",
        "heartbeat.interval.ms": min(3000, session // 3),
        **client_config(settings),
        "group.id": group,
        "session.timeout.ms": session,
        # a rebalance waits in one poll for what is in flight
        "max.poll.interval.ms": max(300_000, session, round(settings.drain_timeout * 1000) + 60_000),
        "auto.offset.reset": "earliest",
        "enable.auto.commit": True,
        "enable.auto.offset.store": False,
        "auto.commit.interval.ms": _COMMIT_MS,
        # it is for memory that little is fetched ahead: the window is what counts
        "queued.max.messages.kbytes": 4096,
        "stats_cb": on_statistics,
        "statistics.interval.ms": _STATISTICS_MS,
    }


def _partition(found: TopicPartition) -> Partition:
    return Partition(found.topic, found.partition)


def _at(partition: Partition, offset: int = -1001) -> TopicPartition:
    return TopicPartition(partition.topic, partition.number, offset)


def _names(partitions: Collection[Partition]) -> str:
    return ", ".join(f"{partition.topic}/{partition.number}" for partition in sorted(partitions)) or "none"
