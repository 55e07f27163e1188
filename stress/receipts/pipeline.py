"""Receipts that are sent through the pipeline, and what has come of them."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition

from ocrvl_receipts.events import Message, encode_upload
from ocrvl_receipts.kafka.connection import client_config, decode_message, encode_headers
from ocrvl_receipts.kafka.topics import ensure_topics
from ocrvl_receipts.objects import ObjectRef, Upload, strip_etag
from ocrvl_receipts.settings import WorkerSettings
from perf.harness.receipts import Store

BUCKET: Final = "receipts"


@dataclass(frozen=True)
class Told:
    """An event of `done` or `dlq`: which receipt it is about, and when it was seen (monotonic seconds)."""

    topic: str
    key: str
    code: str
    time: float


class Watch:
    """Follows `done` and `dlq` on a thread. Use in a `with` block, after the topics exist."""

    def __init__(self, settings: WorkerSettings) -> None:
        self.told: list[Told] = []
        self._settings = settings
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        self._thread.join()

    def done(self) -> list[Told]:
        """Events of results, repeats among them."""
        return [one for one in self.told if one.topic == self._settings.done]

    def buried(self) -> list[Told]:
        """What went to `dlq`."""
        return [one for one in self.told if one.topic == self._settings.dlq]

    def _follow(self) -> None:
        client = Consumer({**client_config(self._settings), "group.id": "stress", "enable.auto.commit": False})
        topics = (self._settings.done, self._settings.dlq)
        partitions = range(self._settings.partitions)
        client.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for topic in topics for number in partitions])
        while not self._stop.is_set():
            found = client.poll(0.1)
            if found is not None and found.error() is None:
                self.told.append(_told(decode_message(found)))
        client.close()


def create_topics(settings: WorkerSettings) -> None:
    """Make the topics before anybody asks for them: a broker that makes them by itself chooses the partitions."""
    asyncio.run(ensure_topics(settings))


class Feed:
    """Uploads receipts and sends their events; remembers the partition of each."""

    def __init__(self, settings: WorkerSettings, store: Store) -> None:
        self.partition_of: dict[str, int] = {}
        self._ends: dict[int, int] = {}
        self._settings = settings
        self._store = store
        self._client = Producer({**client_config(settings), "enable.idempotence": True, "linger.ms": 5})

    def upload(self, images: Sequence[bytes], prefix: str) -> list[ObjectRef]:
        """Put images into the store, under a key each."""
        refs = []
        for number, image in enumerate(images):
            key = f"{prefix}/{number:04d}"
            answer = self._store.s3.put_object(Bucket=BUCKET, Key=key, Body=image)
            refs.append(ObjectRef(bucket=BUCKET, key=key, etag=strip_etag(answer["ETag"])))
        return refs

    def send(self, refs: Sequence[ObjectRef]) -> None:
        """Send the events of uploads and wait until the broker has them."""

        def delivered(_error: Any, message: Any) -> None:
            self.partition_of[message.key().decode()] = message.partition()
            self._ends[message.partition()] = message.offset() + 1

        for ref in refs:
            record = encode_upload(Upload(ref))
            headers = encode_headers(record.headers)
            self._client.produce(self._settings.todo, record.value, record.key, headers=headers, on_delivery=delivered)
        if self._client.flush(120):
            raise RuntimeError("the broker took no events")

    def lag(self) -> int:
        """Events that are not committed, by the offsets that were sent: tansu does not know where a topic ends."""
        return _lag(self._settings, self._ends)


def _lag(settings: WorkerSettings, ends: Mapping[int, int]) -> int:
    client = Consumer({**client_config(settings), "group.id": settings.group})
    partitions = [TopicPartition(settings.todo, number) for number in ends]
    committed = client.committed(partitions, timeout=30)
    client.close()
    return sum(ends[one.partition] - max(one.offset, 0) for one in committed)


def _told(message: Message) -> Told:
    key = (message.key or b"").decode("utf-8", "replace")
    return Told(message.topic, key, message.headers.get("ocrvl_error_code", ""), time.monotonic())
