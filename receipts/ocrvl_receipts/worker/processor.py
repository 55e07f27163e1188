"""One receipt from its event to its result: found, fetched, read, written, told."""

from __future__ import annotations

import asyncio
import json
import logging
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import Final, Protocol, TypeVar

from opentelemetry.trace import SpanKind

from ocrvl_receipts.errors import Code, Failed, Ignored, ReceiptError, Refused, Released
from ocrvl_receipts.events import Message, Record, decode_upload, encode_read
from ocrvl_receipts.metrics import Outcome, Stage, WorkerMetrics
from ocrvl_receipts.objects import ObjectRef, Upload
from ocrvl_receipts.reader import ReceiptReader
from ocrvl_receipts.settings import WorkerSettings
from ocrvl_receipts.trace import HEADER as TRACEPARENT
from ocrvl_receipts.trace import follow, step, traceparent
from ocrvl_receipts.worker.failures import count_attempts, encode_failure, without_value
from ocrvl_receipts.worker.faults import Blame, judge

T = TypeVar("T")

_LOG: Final = logging.getLogger(__name__)
_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 10.0
_LOG_SECONDS: Final = 10.0
"""Between two lines about a service that is waited for."""


class Store(Protocol):
    """What is asked of the object store; raises `StoreError`."""

    async def find(self, bucket: str, key: str) -> bytes | None:
        """As `ObjectStore.find`."""

    async def read(self, ref: ObjectRef, max_bytes: int) -> bytes:
        """As `ObjectStore.read`."""

    async def create(self, bucket: str, key: str, data: bytes) -> bool:
        """As `ObjectStore.create`."""


class Sender(Protocol):
    """What is asked of Kafka's producer."""

    async def send(self, topic: str, record: Record) -> None:
        """As `Producer.send`."""


class Processor:
    """Brings messages to their end. A service that is away or full is waited for, without end and without a count."""

    def __init__(
        self,
        settings: WorkerSettings,
        store: Store,
        reader: ReceiptReader,
        sender: Sender,
        metrics: WorkerMetrics,
        *,
        clock: Callable[[], float] = time.time,
        first_pause: float = _FIRST_PAUSE,
    ) -> None:
        self._settings = settings
        self._store = store
        self._reader = reader
        self._sender = sender
        self._metrics = metrics
        self._clock = clock
        self._first_pause = first_pause
        self._succeeded: Counter[Stage] = Counter()
        self._next_line: dict[Stage, float] = {}

    async def process(self, message: Message, leaving: asyncio.Event) -> None:
        """Bring a message to its end: a result, a retry, or `dlq`.

        Raises `Released` where it would have to wait while `leaving` is set.
        """
        place: dict[str, str | int] = {
            "messaging.system": "kafka",
            "messaging.destination.name": message.topic,
            "messaging.destination.partition.id": str(message.partition),
            "messaging.kafka.offset": message.offset,
        }
        with follow(f"process {message.topic}", message.headers.get(TRACEPARENT), SpanKind.CONSUMER, place):
            await self._process(message, leaving)

    async def _process(self, message: Message, leaving: asyncio.Event) -> None:
        began, code = time.perf_counter(), ""
        try:
            outcome = await self._read(message, leaving)
        except Ignored:
            outcome = Outcome.IGNORED
        except Released:
            self._metrics.outcomes.labels(Outcome.RELEASED, "").inc()
            raise
        except Exception as error:
            failure = judge(error, Stage.FIND)[1]
            outcome, code = await self._fail(message, failure, leaving), failure.code.value
            _LOG.warning("receipt place=%s code=%s %s", message.place, code, failure.message)
        self._metrics.outcomes.labels(outcome, code).inc()
        seconds = time.perf_counter() - began
        _LOG.info(
            "receipt place=%s outcome=%s seconds=%.3f traceparent=%s", message.place, outcome, seconds, traceparent()
        )

    async def _read(self, message: Message, leaving: asyncio.Event) -> Outcome:
        upload = decode_upload(message)
        upload = replace(upload, traceparent=traceparent())
        if upload.ref.bucket not in self._settings.buckets:
            raise Refused(Code.BUCKET_NOT_ALLOWED, f"the bucket {upload.ref.bucket!r} is not among those of --buckets")
        digest = upload.ref.digest(self._settings.pipeline_version)
        bucket, key = self._settings.results_bucket, f"{self._settings.results_prefix}{digest}.json"
        is_new = False
        if await self._attempt(Stage.FIND, partial(self._store.find, bucket, key), leaving) is None:
            result = await self._make_result(upload, leaving)
            is_new = await self._attempt(Stage.WRITE, partial(self._store.create, bucket, key, result), leaving)
        await self._send(self._settings.done, encode_read(upload, digest, {"bucket": bucket, "key": key}), leaving)
        if is_new and upload.time is not None:
            self._metrics.seconds.observe(max(0.0, self._clock() - upload.time.timestamp()))
        return Outcome.DONE if is_new else Outcome.REPEATED

    async def _make_result(self, upload: Upload, leaving: asyncio.Event) -> bytes:
        image = await self._attempt(Stage.FETCH, partial(self._fetch, upload.ref), leaving)
        receipt = await self._attempt(Stage.READ, lambda: self._reader.read(image, traceparent=traceparent()), leaving)
        version = self._settings.pipeline_version
        result = {"source": upload.ref.to_dict(), "pipeline_version": version, "receipt": dict(receipt)}
        return json.dumps(result, ensure_ascii=False).encode()

    async def _fetch(self, ref: ObjectRef) -> bytes:
        image = await self._store.read(ref, self._settings.max_bytes)
        if not image:
            raise Refused(Code.EMPTY, "the object is empty")
        return image

    async def _fail(self, message: Message, error: ReceiptError, leaving: asyncio.Event) -> Outcome:
        """Put a message where it belongs: what may succeed later to a retry topic, as long as there is one."""
        attempts = count_attempts(message) + 1
        encode = partial(encode_failure, message, error, attempts, self._clock())
        if isinstance(error, Failed) and attempts <= len(self._settings.retry_delays):
            delay = self._settings.retry_delays[attempts - 1]
            await self._send(self._settings.retries[attempts - 1], encode(delay), leaving)
            return Outcome.RETRIED
        record = encode()
        try:
            await self._send(self._settings.dlq, record, leaving)
        except Failed:
            # more bytes than the broker takes
            await self._send(self._settings.dlq, without_value(record), leaving)
        return Outcome.REFUSED

    async def _send(self, topic: str, record: Record, leaving: asyncio.Event) -> None:
        await self._attempt(Stage.PUBLISH, partial(self._sender.send, topic, record), leaving)

    async def _attempt(self, stage: Stage, call: Callable[[], Awaitable[T]], leaving: asyncio.Event) -> T:
        """What `call` returns, once it does. Raises `ReceiptError` where the receipt is to blame, and `Released`."""
        succeeded, pauses = self._succeeded[stage], 0
        while True:
            began = time.perf_counter()
            try:
                with step(stage):
                    result = await call()
            except Exception as error:
                blame, failure = judge(error, stage)
                others_succeed = self._succeeded[stage] > succeeded
                if blame is Blame.RECEIPT or (blame is Blame.UNKNOWN and others_succeed):
                    if failure.code is Code.WORKER_ERROR:
                        _LOG.exception("stage=%s", stage)
                    raise failure from error
                await self._wait(stage, failure, pauses, leaving)
                pauses += 1
            else:
                self._succeeded[stage] += 1
                self._metrics.stage_seconds.labels(stage).observe(time.perf_counter() - began)
                return result

    async def _wait(self, stage: Stage, failure: ReceiptError, pauses: int, leaving: asyncio.Event) -> None:
        if time.monotonic() >= self._next_line.get(stage, 0.0):
            self._next_line[stage] = time.monotonic() + _LOG_SECONDS
            _LOG.warning("waiting stage=%s %s", stage, failure.message)
        pause = min(_LONGEST_PAUSE, self._first_pause * 2.0 ** min(pauses, 10)) * random.uniform(0.5, 1)  # noqa: S311 - spreads load
        with self._metrics.waiting.labels(stage).track_inprogress():
            try:
                await asyncio.wait_for(leaving.wait(), pause)
            except TimeoutError:
                return
        raise Released
