"""A broker, a store and workers as processes of their own, and what has come of the receipts that were sent."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psutil
from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition

from ocrvl_client.metrics import HttpFetch, parse_samples
from ocrvl_receipts.events import Message, encode_upload
from ocrvl_receipts.kafka.connection import client_config, decode_message, encode_headers
from ocrvl_receipts.kafka.topics import ensure_topics
from ocrvl_receipts.objects import ObjectRef, Upload, strip_etag
from ocrvl_receipts.settings import WorkerSettings
from perf.harness.receipts import STORE_KEYS, Store

BUCKET: Final = "receipts"
_METRICS: Final = re.compile(r"metrics at http://([\d.]+):(\d+)/metrics")
_START_SECONDS: Final = 60.0


@dataclass
class WorkerProcess:
    """`ocrvl receipts worker` as a child process. Entering starts it and waits until it has partitions."""

    settings: WorkerSettings
    folder: Path
    name: str
    process: subprocess.Popen[bytes] = field(init=False)

    def __enter__(self) -> WorkerProcess:
        log = self.folder / f"{self.name}.log"
        values = self.settings.model_dump(exclude_defaults=True, exclude={"metrics_port"})
        arguments = [
            f"--{name.replace('_', '-')}={','.join(map(str, value)) if isinstance(value, list) else value}"
            for name, value in values.items()
        ]
        command = [str(Path(sys.executable).parent / "ocrvl"), "receipts", "worker", "--metrics-port=0", *arguments]
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                command, env={**os.environ, **STORE_KEYS}, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        wait_for(lambda: bool(_METRICS.search(log.read_text("utf-8"))), _START_SECONDS, f"{self.name} to start")
        host, port = _METRICS.findall(log.read_text("utf-8"))[-1]
        self._fetch = HttpFetch(host, int(port))
        return self

    def __exit__(self, *_error: object) -> None:
        self.process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(self.settings.drain_timeout + 10)
        self.kill()

    def kill(self) -> None:
        """End it as a lost machine does."""
        self.process.kill()
        self.process.wait()

    def partitions(self) -> set[int]:
        """The partitions of `todo` that it has."""
        return {int(labels["partition"]) for labels, _ in self._series("lag") if labels["topic"] == self.settings.todo}

    def memory(self) -> int:
        """Its resident bytes."""
        return int(psutil.Process(self.process.pid).memory_info().rss)

    def _series(self, name: str) -> list[tuple[Mapping[str, str], float]]:
        with suppress(OSError):
            samples = parse_samples(self._fetch("/metrics", 5).text)
            return [(one.labels, one.value) for one in samples if one.name == f"ocrvl_pipeline_{name}"]
        return []


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


def wait_for(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Wait for a condition. Raises `RuntimeError` that says for what."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f"waited {seconds:g} s for {what}")
        time.sleep(0.05)


def _told(message: Message) -> Told:
    key = (message.key or b"").decode("utf-8", "replace")
    return Told(message.topic, key, message.headers.get("ocrvl_error_code", ""), time.monotonic())
