"""One receipt's way: each fault leads to its place, the dlq, a retry topic, or waiting."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from ocrvl_client import InvalidRequest, RequestTimeout, ServerError, ServerUnavailable
from ocrvl_receipts.errors import Code, Released
from ocrvl_receipts.events import Message
from ocrvl_receipts.kafka.producer import NotDelivered, RecordTooLarge
from ocrvl_receipts.metrics import Outcome, Stage, WorkerMetrics
from ocrvl_receipts.objects import ObjectRef
from ocrvl_receipts.store import (
    AccessDenied,
    ObjectChanged,
    ObjectNotFound,
    ObjectTooLarge,
    StoreFault,
    StoreUnavailable,
)
from ocrvl_receipts.trace import trace_id
from ocrvl_receipts.worker.processor import Processor
from tests.support.receipts import (
    RECEIPT,
    REF,
    TRACE,
    FakeReader,
    FakeSender,
    FakeStore,
    make_message,
    make_settings,
    until,
)

DONE, DLQ, RETRY = "receipts.done", "receipts.dlq", "receipts.retry-1"
RESULT = ("receipts-results", f"{REF.digest('1')}.json")
OTHER = ObjectRef(bucket="receipts", key="other.png", etag="1")
NOW = 1_800_000_000.0


def from_server(error: Any) -> Exception:
    error.from_server = True
    result: Exception = error
    return result


class World:
    """A processor and what it works with."""

    def __init__(self, **settings: Any) -> None:
        self.store = FakeStore()
        self.reader = FakeReader()
        self.sender = FakeSender()
        self.metrics = WorkerMetrics()
        self.leaving = asyncio.Event()
        self.processor = Processor(
            make_settings(**settings),
            self.store,
            self.reader,
            self.sender,
            self.metrics,
            clock=lambda: NOW,
            first_pause=0.001,
        )

    async def process(self, message: Message | None = None) -> None:
        await self.processor.process(message or make_message(), self.leaving)

    def run(self, message: Message | None = None) -> None:
        asyncio.run(self.process(message))

    def count(self, outcome: Outcome, code: str = "") -> float:
        value = self.metrics.registry.get_sample_value(
            "ocrvl_pipeline_messages_total", {"outcome": outcome, "code": code}
        )
        return value or 0.0

    def waiting(self, stage: Stage) -> float | None:
        return self.metrics.registry.get_sample_value("ocrvl_pipeline_waiting", {"stage": stage})

    def error_in(self, topic: str) -> tuple[str, str]:
        (record,) = self.sender.sent[topic]
        return record.headers["ocrvl_error_code"], record.headers["ocrvl_error_message"]


def test_a_receipt_is_read_written_under_its_digest_and_told_in_this_order() -> None:
    world = World()
    world.run()
    assert json.loads(world.store.objects[RESULT]) == {
        "source": {"bucket": "receipts", "key": "in/a.png", "etag": "9b2cf5"},
        "pipeline_version": "1",
        "receipt": RECEIPT,
    }
    (record,) = world.sender.sent[DONE]
    assert json.loads(record.value or b"")["result"] == {"bucket": RESULT[0], "key": RESULT[1]}
    assert world.count(Outcome.DONE) == 1


def test_one_trace_goes_from_the_event_to_the_server_and_to_the_result_s_event() -> None:
    world = World()
    world.run()
    (asked,) = world.reader.traceparents
    (record,) = world.sender.sent[DONE]
    assert {trace_id(asked), trace_id(record.headers["traceparent"])} == {TRACE}


def test_a_receipt_that_has_a_result_is_told_again_and_not_read_again() -> None:
    world = World()
    world.run()
    world.run()
    assert world.reader.reads.calls == 1
    assert [record.headers["ce_id"] for record in world.sender.sent[DONE]] == [REF.digest("1")] * 2
    assert world.count(Outcome.REPEATED) == 1


def test_of_two_workers_with_one_receipt_the_first_result_stays() -> None:
    world = World()

    async def other_worker(_image: bytes) -> None:
        world.store.objects[RESULT] = b"the other's"

    world.reader.before = other_worker
    world.run()
    assert world.store.objects[RESULT] == b"the other's"
    assert len(world.sender.sent[DONE]) == 1


def test_another_version_of_the_pipeline_reads_a_receipt_anew() -> None:
    world = World()
    world.run()
    newer = World(pipeline_version="2")
    newer.store.objects = world.store.objects
    newer.run()
    assert newer.reader.reads.calls == 1
    assert len(newer.store.objects) == 2


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ObjectNotFound("no such key"), Code.NOT_FOUND),
        (ObjectChanged("another etag"), Code.CHANGED),
        (ObjectTooLarge("200 MB"), Code.TOO_LARGE),
        (AccessDenied("not yours"), Code.ACCESS_DENIED),
    ],
)
def test_an_object_that_can_never_be_fetched_goes_to_the_dlq_at_once(error: Exception, code: Code) -> None:
    world = World()
    world.store.reads.errors = [error]
    world.run(make_message(offset=7))
    assert world.error_in(DLQ) == (code, str(error))
    (record,) = world.sender.sent[DLQ]
    headers = {name: value for name, value in record.headers.items() if name.startswith("ocrvl_")}
    assert headers["ocrvl_attempts"] == "1"
    assert headers["ocrvl_source_topic"] == "receipts.todo"
    assert (headers["ocrvl_source_partition"], headers["ocrvl_source_offset"]) == ("0", "7")
    assert (record.key, record.value) == (make_message().key, make_message().value)
    assert record.headers["ce_id"] == make_message().headers["ce_id"]
    assert world.count(Outcome.REFUSED, code) == 1


def test_an_empty_object_goes_to_the_dlq() -> None:
    world = World()
    world.store.objects[REF.bucket, REF.key] = b""
    world.run()
    assert world.error_in(DLQ) == (Code.EMPTY, "the object is empty")


def test_what_the_server_refuses_goes_to_the_dlq_with_its_words() -> None:
    world = World()
    world.reader.reads.errors = [from_server(InvalidRequest("image 0: it is not an image"))]
    world.run()
    assert world.error_in(DLQ) == (Code.INVALID_IMAGE, "image 0: it is not an image")


def test_an_event_that_is_no_json_goes_to_the_dlq_as_it_came() -> None:
    world = World()
    world.run(replace(make_message(), value=b"{nonsense"))
    assert world.error_in(DLQ)[0] == Code.BAD_EVENT
    assert world.sender.sent[DLQ][0].value == b"{nonsense"
    assert world.store.reads.calls == 0


def test_a_bucket_that_is_not_named_is_not_read() -> None:
    world = World(buckets=["others"])
    world.run()
    assert world.error_in(DLQ)[0] == Code.BUCKET_NOT_ALLOWED
    assert world.store.finds.calls == world.store.reads.calls == 0


def test_a_test_event_of_the_store_is_ignored() -> None:
    world = World()
    world.run(Message("receipts.todo", 0, 0, None, b'{"Event": "s3:TestEvent"}'))
    assert world.sender.sent == {}
    assert world.count(Outcome.IGNORED) == 1


def test_a_fault_of_the_server_with_one_receipt_is_retried_after_the_topic_s_delay() -> None:
    world = World(retry_delays=[10, 60])
    world.reader.reads.errors = [from_server(ServerError("id 7"))]
    world.run(make_message(offset=3))
    (record,) = world.sender.sent[RETRY]
    assert record.headers["ocrvl_attempts"] == "1"
    assert record.headers["ocrvl_not_before"] == str(round((NOW + 10) * 1000))
    assert record.headers["ocrvl_source_offset"] == "3"
    assert world.count(Outcome.RETRIED, Code.SERVER_ERROR) == 1


def test_after_the_last_retry_it_goes_to_the_dlq_with_its_attempts_and_its_first_place() -> None:
    world = World(retry_delays=[10, 60])
    message = make_message(offset=3)
    for topic in (RETRY, "receipts.retry-2", DLQ):
        world.reader.reads.errors = [from_server(ServerError("id 7"))]
        world.run(message)
        (record,) = world.sender.sent[topic]
        message = Message(topic, 1, 99, record.key, record.value, record.headers)
    assert record.headers["ocrvl_attempts"] == "3"
    assert (record.headers["ocrvl_source_topic"], record.headers["ocrvl_source_offset"]) == ("receipts.todo", "3")


@pytest.mark.parametrize(
    ("break_it", "stage"),
    [
        (lambda world, error: world.reader.reads.errors.extend([error] * 3), Stage.READ),
        (lambda world, error: world.store.finds.errors.extend([error] * 3), Stage.FIND),
        (lambda world, error: world.store.reads.errors.extend([error] * 3), Stage.FETCH),
        (lambda world, error: world.store.creates.errors.extend([error] * 3), Stage.WRITE),
        (lambda world, error: world.sender.sends.errors.extend([error] * 3), Stage.PUBLISH),
    ],
)
def test_a_service_that_is_full_or_away_is_waited_for_and_no_attempt_is_counted(
    break_it: Callable[[World, Exception], None], stage: Stage
) -> None:
    errors = {Stage.READ: ServerUnavailable("full"), Stage.PUBLISH: NotDelivered("no broker")}
    world = World()
    break_it(world, errors.get(stage, StoreUnavailable("ExpiredToken")))
    world.run()
    assert list(world.sender.sent) == [DONE]
    assert world.count(Outcome.DONE) == 1


@pytest.mark.parametrize("error", [ObjectNotFound("no such bucket"), AccessDenied("no")])
def test_a_bucket_of_results_that_cannot_be_used_is_no_receipt_s_fault(error: Exception) -> None:
    world = World()
    world.store.creates.errors = [error] * 3
    world.run()
    assert list(world.sender.sent) == [DONE]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RequestTimeout("no answer within 120 s"), Code.TIMEOUT),
        (InvalidRequest("Request for unknown model: 'receipt' is not found"), Code.SERVER_ERROR),
    ],
)
def test_a_doubtful_fault_is_the_receipt_s_once_others_are_read(error: Exception, code: Code) -> None:
    world = World()
    poison = make_message()

    async def scenario() -> None:
        async def fail_for_one(image: bytes) -> None:
            if image == b"poison":
                raise error

        world.store.objects[REF.bucket, REF.key] = b"poison"
        world.reader.before = fail_for_one
        running = asyncio.create_task(world.process(poison))
        await until(lambda: len(world.reader.traceparents) > 3)
        assert world.sender.sent == {}
        await world.process(make_message(OTHER))
        await running

    asyncio.run(scenario())
    assert world.error_in(RETRY) == (code, str(error))


def test_a_doubtful_fault_that_hits_all_is_waited_for() -> None:
    world = World()
    world.store.reads.errors = [StoreFault("500")] * 20

    async def scenario() -> None:
        await asyncio.gather(*(world.process(make_message(OTHER, offset=offset)) for offset in range(5)))

    asyncio.run(scenario())
    assert list(world.sender.sent) == [DONE]


def test_what_waits_is_released_at_once_when_its_partition_goes() -> None:
    world = World()
    world.reader.reads.fails_always = ServerUnavailable("restarting")

    async def scenario() -> None:
        running = asyncio.create_task(world.process())
        await until(lambda: world.waiting(Stage.READ) == 1)
        world.leaving.set()
        with pytest.raises(Released):
            await running

    asyncio.run(scenario())
    assert world.sender.sent == {}
    assert world.waiting(Stage.READ) == 0
    assert world.count(Outcome.RELEASED) == 1


def test_what_is_in_flight_is_finished_when_its_partition_goes() -> None:
    world = World()
    world.leaving.set()
    world.run()
    assert list(world.sender.sent) == [DONE]


def test_an_event_too_large_for_the_dlq_with_its_headers_goes_there_without_its_value() -> None:
    world = World()
    world.sender.sends.errors = [RecordTooLarge("1 MB")]
    world.run(replace(make_message(), value=b"x" * 1000))
    (record,) = world.sender.sent[DLQ]
    assert (record.value, record.headers["ocrvl_truncated"]) == (None, "true")


def test_a_fault_of_the_worker_itself_is_retried_and_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    world.reader.reads.errors = [ZeroDivisionError("oh")]
    world.run()
    assert world.error_in(RETRY)[0] == Code.WORKER_ERROR
    assert "ZeroDivisionError" in caplog.text
