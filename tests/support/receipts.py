"""What tests of the pipeline share: a store, a reader and a sender that a test decides, and messages."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from ocrvl_receipts.events import Message, Record, encode_upload
from ocrvl_receipts.kafka.connection import client_config, decode_message
from ocrvl_receipts.kafka.producer import Producer
from ocrvl_receipts.metrics import WorkerMetrics
from ocrvl_receipts.objects import ObjectRef, Upload
from ocrvl_receipts.reader import ReceiptReader
from ocrvl_receipts.settings import WorkerSettings
from ocrvl_receipts.worker.serve import run_worker

RECEIPT = {"schema_version": "1.0", "fields": {}}
UPLOADED = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = f"00-{TRACE}-00f067aa0ba902b7-01"
REF = ObjectRef(bucket="receipts", key="in/a.png", etag="9b2cf5")


def make_settings(**changes: Any) -> WorkerSettings:
    """Settings of a worker, whatever the environment has."""
    return WorkerSettings(**changes)


def make_message(ref: ObjectRef = REF, *, offset: int = 0, topic: str = "receipts.todo", **headers: str) -> Message:
    """The event of an upload, as it was consumed."""
    record = encode_upload(Upload(ref, UPLOADED, TRACEPARENT))
    return to_message(record, offset=offset, topic=topic, **headers)


def to_message(record: Record, *, offset: int = 0, topic: str = "receipts.todo", **headers: str) -> Message:
    """A record, as it was consumed."""
    return Message(topic, 0, offset, record.key, record.value, {**record.headers, **headers})


class _Script:
    """Raises the errors it was given, one a call; then does what it does."""

    def __init__(self) -> None:
        self.errors: list[Exception] = []
        self.fails_always: Exception | None = None
        self.calls = 0

    def call(self) -> None:
        self.calls += 1
        if self.fails_always is not None:
            raise self.fails_always
        if self.errors:
            raise self.errors.pop(0)


@dataclass
class FakeStore:
    """Objects by bucket and key; `finds`, `reads` and `creates` fail as they are told."""

    objects: dict[tuple[str, str], bytes] = field(default_factory=dict)
    finds: _Script = field(default_factory=_Script)
    reads: _Script = field(default_factory=_Script)
    creates: _Script = field(default_factory=_Script)

    async def find(self, bucket: str, key: str) -> bytes | None:
        self.finds.call()
        return self.objects.get((bucket, key))

    async def read(self, ref: ObjectRef, max_bytes: int) -> bytes:
        self.reads.call()
        return self.objects.get((ref.bucket, ref.key), b"an image")

    async def create(self, bucket: str, key: str, data: bytes) -> bool:
        self.creates.call()
        return self.objects.setdefault((bucket, key), data) is data


@dataclass
class FakeReader:
    """Reads `RECEIPT` in everything, after what `before` awaits; `reads` fails as it is told."""

    reads: _Script = field(default_factory=_Script)
    before: Callable[[bytes], Any] | None = None
    traceparents: list[str] = field(default_factory=list)

    async def read(self, image: bytes, *, traceparent: str) -> Mapping[str, Any]:
        self.traceparents.append(traceparent)
        if self.before is not None:
            await self.before(image)
        self.reads.call()
        return RECEIPT

    async def aclose(self) -> None:
        pass


@dataclass
class FakeSender:
    """Keeps what is sent by topic; `sends` fails as it is told."""

    sent: dict[str, list[Record]] = field(default_factory=dict)
    sends: _Script = field(default_factory=_Script)

    async def send(self, topic: str, record: Record) -> None:
        self.sends.call()
        self.sent.setdefault(topic, []).append(record)


async def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait for a condition. Raises `TimeoutError`."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - of whatever the test looks at
            await asyncio.sleep(0.005)


async def produce(settings: WorkerSettings, *records: Record, topic: str | None = None) -> None:
    """Send records to a broker."""
    producer = Producer(settings)
    await asyncio.gather(*(producer.send(topic or settings.todo, record) for record in records))
    await producer.close()


def consume(settings: WorkerSettings, topic: str, count: int, seconds: float = 30.0) -> list[Message]:
    """The first `count` messages of a topic, from all partitions, without a group."""
    client = Consumer({**client_config(settings), "group.id": "none", "enable.auto.commit": False})
    partitions = client.list_topics(topic, timeout=10).topics[topic].partitions
    client.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in partitions])
    found: list[Message] = []
    deadline = time.monotonic() + seconds
    while len(found) < count and time.monotonic() < deadline:
        found += [decode_message(one) for one in client.consume(count, 0.2) if one.error() is None]
    client.close()
    return found


@contextlib.asynccontextmanager
async def working(
    settings: WorkerSettings, reader: ReceiptReader, metrics: WorkerMetrics | None = None
) -> AsyncIterator[None]:
    """A worker that works meanwhile and is stopped in the end, drained."""
    stop = asyncio.Event()
    running = asyncio.create_task(run_worker(settings, reader, stop, metrics))
    try:
        yield
    finally:
        stop.set()
        await running
