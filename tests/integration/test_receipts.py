"""The pipeline on a real broker and a real store, with a reader that a test decides."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from random import Random
from typing import Any

import httpx
import jsonschema
import psutil
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from ocrvl.launcher.ports import find_free_port
from ocrvl.launcher.server import TritonServer
from ocrvl.schemas import RECEIPT, read_schema
from ocrvl_cli import app
from ocrvl_client import InvalidRequest, ServerUnavailable
from ocrvl_receipts.errors import Code
from ocrvl_receipts.events import Record, encode_upload
from ocrvl_receipts.front.app import create_app
from ocrvl_receipts.metrics import Stage, WorkerMetrics
from ocrvl_receipts.objects import ObjectRef, Upload, strip_etag
from ocrvl_receipts.reader import connect
from ocrvl_receipts.settings import FrontSettings, StoreSettings, WorkerSettings
from ocrvl_receipts.trace import trace_id
from perf.harness.receipts import STORE_KEYS, Broker, Store, start_broker, start_store
from perf.harness.receipts_process import PipelineProcess, wait_for
from tests.support.collector import Collector
from tests.support.gateways import serve_app
from tests.support.receipts import TRACE, TRACEPARENT, FakeReader, consume, make_settings, produce, until, working
from training.nano.world import World

BUCKET, RESULTS = "receipts", "receipts-results"
ODD_KEY = "in/a+b %2F c#?&=;:@,'\"\\~^{}[]|<>*`$!() é日本.png"


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with start_broker(tmp_path_factory.mktemp("broker")) as broker:
        yield broker


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with start_store(tmp_path_factory.mktemp("store"), (BUCKET, RESULTS, "secret")) as store:
        yield store


@pytest.fixture
def settings(broker: Broker, store: Store, monkeypatch: pytest.MonkeyPatch) -> Callable[..., WorkerSettings]:
    """Settings with topics and a group of their own."""
    for name, value in STORE_KEYS.items():
        monkeypatch.setenv(name, value)
    prefix = f"t-{uuid.uuid4().hex[:8]}"

    def make(**changes: Any) -> WorkerSettings:
        values = {
            "brokers": [broker.address],
            "session_timeout": broker.session_timeout,
            "endpoint": store.endpoint,
            "topic_prefix": prefix,
            "group": prefix,
            "partitions": 2,
        }
        return make_settings(**{**values, **changes})

    return make


def upload(store: Store, key: str, data: bytes = b"an image", bucket: str = BUCKET) -> ObjectRef:
    answer = store.s3.put_object(Bucket=bucket, Key=key, Body=data)
    return ObjectRef(bucket=bucket, key=key, etag=strip_etag(answer["ETag"]))


def results(store: Store, *refs: ObjectRef) -> list[dict[str, Any]]:
    found = [store.s3.get_object(Bucket=RESULTS, Key=f"{ref.digest('1')}.json") for ref in refs]
    return [json.loads(one["Body"].read()) for one in found]


def events(*refs: ObjectRef) -> list[Record]:
    return [encode_upload(Upload(ref)) for ref in refs]


def test_receipts_come_back_as_results_and_events_whatever_their_keys(
    settings: Callable[..., WorkerSettings], store: Store
) -> None:
    here = settings()
    refs = [upload(store, key) for key in (ODD_KEY, *(f"in/{number}.png" for number in range(20)))]

    async def scenario() -> None:
        async with working(here, FakeReader()):
            await produce(here, *events(*refs))
            done = await asyncio.to_thread(consume, here, here.done, len(refs))
        assert {json.loads(one.value or b"")["key"] for one in done} == {ref.key for ref in refs}
        assert [result["source"] for result in results(store, *refs)] == [ref.to_dict() for ref in refs]

    asyncio.run(scenario())


def test_what_can_never_succeed_is_in_the_dlq_and_keeps_no_other_from_its_result(
    settings: Callable[..., WorkerSettings], store: Store
) -> None:
    here = settings(max_bytes=1000)
    fine, changed = upload(store, "fine.png"), upload(store, "changed.png")
    upload(store, "changed.png", b"another image")
    bad = {
        Code.NOT_FOUND: ObjectRef(bucket=BUCKET, key="nothing.png", etag="a"),
        Code.CHANGED: changed,
        Code.EMPTY: upload(store, "empty.png", b""),
        Code.TOO_LARGE: upload(store, "large.png", b"x" * 1001),
        Code.INVALID_IMAGE: upload(store, "text.png", b"no image"),
        Code.BUCKET_NOT_ALLOWED: upload(store, "a.png", bucket="secret"),
    }
    refused = InvalidRequest("it is not an image")
    refused.from_server = True

    async def refuse(image: bytes) -> None:
        if image == b"no image":
            raise refused

    async def scenario() -> None:
        async with working(here, FakeReader(before=refuse)):
            await produce(here, *events(*bad.values()), Record(b"k", b"{nonsense", {}), *events(fine))
            await asyncio.to_thread(consume, here, here.done, 1)
            buried = await asyncio.to_thread(consume, here, here.dlq, len(bad) + 1)
        found = {one.headers["ocrvl_error_code"]: one for one in buried}
        assert set(found) == {*bad, Code.BAD_EVENT}
        assert found[Code.BAD_EVENT].value == b"{nonsense"
        for code, ref in bad.items():
            assert json.loads(found[code].value or b"")["key"] == ref.key

    asyncio.run(scenario())


def test_a_bucket_that_may_not_be_read_is_for_the_dlq_and_keys_that_are_not_taken_any_more_for_waiting(
    settings: Callable[..., WorkerSettings], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    iam = store.connect("iam")
    iam.create_user(UserName="worker")
    allowed = [f"arn:aws:s3:::{bucket}{path}" for bucket in (BUCKET, RESULTS) for path in ("", "/*")]
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": allowed}]}
    iam.put_user_policy(UserName="worker", PolicyName="one", PolicyDocument=json.dumps(policy))
    key = iam.create_access_key(UserName="worker")["AccessKey"]
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])
    here, metrics = settings(buckets=[BUCKET, "secret"]), WorkerMetrics()
    secret, first, second = upload(store, "a.png", bucket="secret"), upload(store, "1.png"), upload(store, "2.png")

    def is_waiting() -> bool:
        return metrics.registry.get_sample_value("ocrvl_pipeline_waiting", {"stage": Stage.FIND}) == 1

    def set_status(status: str) -> None:
        iam.update_access_key(UserName="worker", AccessKeyId=key["AccessKeyId"], Status=status)

    async def scenario() -> None:
        async with working(here, FakeReader(), metrics):
            await produce(here, *events(first, secret))
            await asyncio.to_thread(consume, here, here.done, 1)
            (buried,) = await asyncio.to_thread(consume, here, here.dlq, 1)
            assert buried.headers["ocrvl_error_code"] == Code.ACCESS_DENIED
            await asyncio.to_thread(set_status, "Inactive")
            await produce(here, *events(second))
            await until(is_waiting)
            await asyncio.to_thread(set_status, "Active")
            assert len(await asyncio.to_thread(consume, here, here.done, 2)) == 2

    asyncio.run(scenario())


def test_partitions_go_to_a_worker_that_joins_and_from_one_that_stops_without_reading_any_twice(
    settings: Callable[..., WorkerSettings], store: Store
) -> None:
    here = settings(concurrency=2, window=4)
    count = 100
    refs = [upload(store, f"{number}.png", str(number).encode()) for number in range(count)]
    read: dict[str, list[bytes]] = {"first": [], "second": []}

    def reader(name: str) -> FakeReader:
        async def slowly(image: bytes) -> None:
            await asyncio.sleep(0.3)
            read[name].append(image)

        return FakeReader(before=slowly)

    async def scenario() -> None:
        async with AsyncExitStack() as stack:
            first = await stack.enter_async_context(AsyncExitStack())
            await first.enter_async_context(working(here, reader("first")))
            await produce(here, *events(*refs))
            await until(lambda: bool(read["first"]))
            await stack.enter_async_context(working(here, reader("second")))
            await until(lambda: bool(read["second"]), 60)
            await first.aclose()
            await until(lambda: sum(map(len, read.values())) >= count, 60)
            await asyncio.to_thread(consume, here, here.done, count)

    asyncio.run(scenario())
    assert sorted(read["first"] + read["second"]) == sorted(str(number).encode() for number in range(count))


def test_a_broker_that_is_away_at_the_start_is_waited_for_and_so_is_a_server(
    settings: Callable[..., WorkerSettings], store: Store, tmp_path: Path
) -> None:
    port = find_free_port()
    here = settings(brokers=[f"127.0.0.1:{port}"])
    ref = upload(store, "early.png")
    reader = FakeReader()
    reader.reads.errors = [ServerUnavailable("restarting")]

    async def scenario() -> None:
        with ExitStack() as stack:
            async with working(here, reader):
                await asyncio.sleep(0.2)
                stack.enter_context(start_broker(tmp_path, port))
                await produce(here, *events(ref))
                await asyncio.to_thread(consume, here, here.done, 1)

    asyncio.run(scenario())
    assert len(results(store, ref)) == 1


def test_a_worker_whose_window_was_full_when_the_broker_went_away_reads_on_when_it_is_back(
    settings: Callable[..., WorkerSettings], store: Store, tmp_path: Path
) -> None:
    refs = [upload(store, f"away/{number}.png") for number in range(24)]
    metrics, go_on = WorkerMetrics(), asyncio.Event()

    async def hold(_image: bytes) -> None:
        await go_on.wait()

    def taken() -> float | None:
        return metrics.registry.get_sample_value("ocrvl_pipeline_taken")

    async def scenario() -> None:
        with start_broker(tmp_path) as broker:
            here = settings(brokers=[broker.address], concurrency=2, window=4)
            async with working(here, FakeReader(before=hold), metrics):
                await produce(here, *events(*refs))
                await until(lambda: taken() == 4)
                broker.pause()
                # its session has ended, so another worker might have its partitions
                await until(lambda: taken() == 0)
                broker.resume()
                go_on.set()
                done = await asyncio.to_thread(consume, here, here.done, len(refs))
        assert {(one.key or b"").decode() for one in done} == {ref.key for ref in refs}

    asyncio.run(scenario())
    assert len(results(store, *refs)) == len(refs)


@pytest.fixture(scope="module")
def front(broker: Broker, store: Store) -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in STORE_KEYS.items():
            patch.setenv(name, value)
        settings = FrontSettings(
            brokers=[broker.address], endpoint=store.endpoint, topic_prefix="front", max_bytes=1000
        )
        with serve_app(lambda: create_app(settings)) as url:
            yield url


def send_form(grant: dict[str, Any], data: bytes, **changes: str) -> httpx.Response:
    return httpx.post(grant["url"], data={**grant["fields"], **changes}, files={"file": data})


def test_a_form_uploads_one_object_of_the_length_that_was_granted_and_nothing_else(front: str, store: Store) -> None:
    grant = httpx.post(f"{front}/uploads", json={"method": "POST"}).json()
    assert send_form(grant, b"x" * 1001).status_code == 400
    assert send_form(grant, b"").status_code == 400
    assert send_form(grant, b"image", key="uploads/another").status_code == 403
    assert send_form(grant, b"image", **{"x-amz-signature": "0" * 64}).status_code == 403
    assert send_form(grant, b"image").status_code == 204
    assert store.s3.get_object(Bucket=BUCKET, Key=grant["key"])["Body"].read() == b"image"


def test_an_upload_by_put_is_told_to_the_workers_and_its_result_is_fetched_by_its_id(
    front: str, settings: Callable[..., WorkerSettings]
) -> None:
    grant = httpx.post(f"{front}/uploads", json={"method": "PUT"}).json()
    assert httpx.put(grant["url"].replace("uploads", "others", 1), content=b"image").status_code == 403
    assert httpx.put(grant["url"], content=b"image").status_code == 200
    accepted = httpx.post(f"{front}/uploads/complete", json={"key": grant["key"]}).json()
    here = settings(topic_prefix="front")

    async def scenario() -> None:
        async with working(here, FakeReader()):
            await asyncio.to_thread(consume, here, here.done, 1)

    asyncio.run(scenario())
    result = httpx.get(f"{front}/results/{accepted['id']}").json()
    assert result["source"] == {name: accepted[name] for name in ("bucket", "key", "etag")}


def test_what_failed_is_listed_shown_and_replayed_by_the_command_line(
    settings: Callable[..., WorkerSettings], store: Store
) -> None:
    here = settings()
    late = ObjectRef(bucket=BUCKET, key="late.png", etag=hashlib.md5(b"an image").hexdigest())

    def run(*arguments: str) -> Result:
        options = ["--brokers", here.brokers[0], "--topic-prefix", here.topic_prefix]
        return CliRunner().invoke(app, ["receipts", "dlq", *arguments, *options])

    async def scenario() -> None:
        async with working(here, FakeReader()):
            await produce(here, *events(late), Record(None, b"{", {}))
            await asyncio.to_thread(consume, here, here.dlq, 2)
            listed = [json.loads(line) for line in (await asyncio.to_thread(run, "list", "--json")).stdout.splitlines()]
            assert {one["code"] for one in listed} == {Code.NOT_FOUND, Code.BAD_EVENT}
            (one,) = (one for one in listed if one["code"] == Code.NOT_FOUND)
            assert (one["key"], one["attempts"], one["source"].split("/")[0]) == ("late.png", 1, here.todo)
            assert one["place"] in (await asyncio.to_thread(run, "list")).stdout
            assert json.loads((await asyncio.to_thread(run, "show", one["place"])).stdout) == one
            missing = await asyncio.to_thread(run, "show", "9/99")
            assert (missing.exit_code, missing.stderr.strip()) == (1, "not in the dlq: 9/99")
            upload(store, "late.png")
            replayed = await asyncio.to_thread(run, "replay", "--code", "not_found")
            assert (replayed.exit_code, replayed.stdout.strip()) == (0, f"1 sent to {here.todo}")
            await asyncio.to_thread(consume, here, here.done, 1)

    asyncio.run(scenario())
    assert len(results(store, late)) == 1


def test_a_notification_that_a_store_sends_is_an_upload(settings: Callable[..., WorkerSettings], store: Store) -> None:
    queues = store.connect("sqs")
    statement = {"Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    url = queues.create_queue(QueueName="uploads", Attributes={"Policy": policy})["QueueUrl"]
    configuration = {
        "QueueConfigurations": [
            {"QueueArn": "arn:aws:sqs:us-east-1:000000000000:uploads", "Events": ["s3:ObjectCreated:*"]}
        ]
    }
    store.s3.create_bucket(Bucket="noted")
    store.s3.put_bucket_notification_configuration(Bucket="noted", NotificationConfiguration=configuration)
    ref = upload(store, ODD_KEY, bucket="noted")
    bodies: list[str] = []
    while len(bodies) < 2:
        answer = queues.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=5)
        bodies += [message["Body"] for message in answer.get("Messages", [])]
    here = settings(buckets=["noted"])

    async def scenario() -> None:
        async with working(here, FakeReader()):
            await produce(here, *(Record(None, body.encode(), {}) for body in bodies))
            (done,) = await asyncio.to_thread(consume, here, here.done, 1)
            assert done.key == ref.key.encode()

    asyncio.run(scenario())
    assert len(results(store, ref)) == 1


def test_a_broker_and_a_store_end_with_the_process_that_started_them_even_if_that_is_killed(tmp_path: Path) -> None:
    program = (
        "import sys, time, pathlib, psutil\n"
        "from perf.harness.receipts import start_broker, start_store\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "with start_broker(folder) as broker, start_store(folder, []):\n"
        "    broker.pause()\n"
        "    print(*(one.pid for one in psutil.Process().children(recursive=True)), flush=True)\n"
        "    time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        children = [psutil.Process(int(pid)) for pid in parent.stdout.readline().split()]
        parent.kill()
    assert len(children) >= 2
    assert not psutil.wait_procs(children, timeout=30)[1]


def test_sigterm_ends_a_worker_that_waits_at_once_and_its_receipt_is_read_by_the_next(
    settings: Callable[..., WorkerSettings], store: Store, tmp_path: Path
) -> None:
    here = settings(server=[f"127.0.0.1:{find_free_port()}"])
    ref = upload(store, "waits.png")
    with PipelineProcess(here, tmp_path, "worker") as worker:
        asyncio.run(produce(here, *events(ref)))
        wait_for(lambda: any(one.value for one in worker.samples() if one.name == "ocrvl_pipeline_waiting"), 60, "it")
        worker.process.terminate()
        assert worker.process.wait(30) == 0
    assert "waiting stage=read no server at" in (tmp_path / "worker.log").read_text("utf-8")

    async def scenario() -> None:
        async with working(here, FakeReader()):
            await asyncio.to_thread(consume, here, here.done, 1)

    asyncio.run(scenario())
    assert len(results(store, ref)) == 1


def test_the_front_end_and_a_worker_send_spans_of_one_trace(
    settings: Callable[..., WorkerSettings], store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = settings(server=[f"127.0.0.1:{find_free_port()}"])
    shared = here.model_dump(include=set(StoreSettings.model_fields), exclude_defaults=True)
    upload(store, "uploads/gone.png")
    with Collector().running() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", collector.http_url)
        with PipelineProcess(FrontSettings(**shared), tmp_path, "front") as front:
            answer = httpx.post(
                f"http://{front.address[0]}:{front.address[1]}/uploads/complete",
                json={"key": "uploads/gone.png"},
                headers={"traceparent": TRACEPARENT},
            )
        assert answer.status_code == 202
        store.s3.delete_object(Bucket=BUCKET, Key="uploads/gone.png")
        with PipelineProcess(here, tmp_path, "worker"):
            (buried,) = consume(here, here.dlq, 1)
        # what was to be sent is sent before they end
        spans = {span.name: span for span in collector.spans(TRACE)}
    sent, processed = spans[f"send {here.todo}"], spans[f"process {here.todo}"]
    assert sent.parent_id == TRACEPARENT.split("-")[2]
    assert processed.parent_id == sent.span_id == buried.headers["traceparent"].split("-")[2]
    assert {span.name for span in spans.values() if span.parent_id == processed.span_id} == {"find", "fetch", "publish"}


def test_triton_reads_receipts_and_refuses_what_is_none_in_one_trace(
    server: TritonServer, server_log: list[str], settings: Callable[..., WorkerSettings], store: Store
) -> None:
    here = settings(server=[server.grpc_url])
    pages = [Image.new("L", (28, 28), 255) for _ in range(1000)]
    scan = io.BytesIO()
    pages[0].save(scan, "TIFF", save_all=True, append_images=pages[1:])
    receipt = upload(store, "receipt.png", World(Random(7)).receipt(3).png())
    bad = [upload(store, "text.png", b"this is text"), upload(store, "scan.tif", scan.getvalue())]

    async def scenario() -> None:
        async with working(here, connect(here)):
            traced = encode_upload(Upload(receipt, traceparent=TRACEPARENT))
            await produce(here, traced, *events(*bad))
            (done,) = await asyncio.to_thread(consume, here, here.done, 1)
            buried = await asyncio.to_thread(consume, here, here.dlq, 2)
        assert trace_id(done.headers["traceparent"]) == TRACE
        assert {one.headers["ocrvl_error_code"] for one in buried} == {Code.INVALID_IMAGE}
        said = {(one.key or b"").decode(): one.headers["ocrvl_error_message"] for one in buried}
        assert "1000" in said["scan.tif"]

    asyncio.run(scenario())
    (result,) = results(store, receipt)
    jsonschema.validate(result["receipt"], read_schema(RECEIPT))
    assert any(f"traceparent=00-{TRACE}" in line for line in server_log)
