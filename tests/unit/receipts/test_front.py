"""The front end over HTTP: what it grants, takes and refuses; with a store and a sender that a test decides."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest

from ocrvl_receipts.events import decode_upload
from ocrvl_receipts.front.app import create_app
from ocrvl_receipts.kafka.producer import NotDelivered
from ocrvl_receipts.objects import ObjectRef
from ocrvl_receipts.settings import FrontSettings
from ocrvl_receipts.store import ObjectInfo, ObjectNotFound, StoreUnavailable
from ocrvl_receipts.trace import trace_id
from tests.support.receipts import TRACE, TRACEPARENT, FakeSender, to_message

KEY = "uploads/a.png"
REF = ObjectRef(bucket="receipts", key=KEY, etag="9b2cf5")
TODO = "receipts.todo"


class FrontStore:
    """One upload of `size` bytes, and one result."""

    def __init__(self) -> None:
        self.size = 5
        self.error: Exception | None = None

    async def describe(self, bucket: str, key: str) -> ObjectInfo:
        if self.error:
            raise self.error
        if (bucket, key) != (REF.bucket, REF.key):
            raise ObjectNotFound("404")
        return ObjectInfo(REF, self.size)

    async def find(self, bucket: str, key: str) -> bytes | None:
        if self.error:
            raise self.error
        return b'{"receipt": {}}' if key == f"{REF.digest('1')}.json" else None


class FrontSender(FakeSender):
    """Keeps what is sent."""

    async def is_connected(self) -> bool:
        return self.sends.fails_always is None

    async def close(self) -> None:
        pass


class Front:
    """A front end, and what it works with."""

    def __init__(self, **settings: Any) -> None:
        self.store, self.sender = FrontStore(), FrontSender()
        self._app = create_app(FrontSettings(**settings), store=self.store, make_sender=lambda: self.sender)

    def request(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(self._app, raise_app_exceptions=False)
            async with (
                self._app.router.lifespan_context(self._app),
                httpx.AsyncClient(transport=transport, base_url="http://front") as client,
            ):
                return await client.request(method, path, **arguments)

        return asyncio.run(send())

    def post(self, path: str, body: Any, **headers: str) -> httpx.Response:
        return self.request("POST", path, json=body, headers=headers)


@pytest.fixture
def front(monkeypatch: pytest.MonkeyPatch) -> Front:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    return Front(endpoint="http://localhost:9000")


def error_of(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["message"]


def test_a_complete_upload_becomes_an_event_and_says_where_its_result_will_be(front: Front) -> None:
    answer = front.post("/uploads/complete", {"key": KEY}, traceparent=TRACEPARENT)
    assert answer.status_code == 202
    digest = REF.digest("1")
    result = {"bucket": "receipts-results", "key": f"{digest}.json"}
    assert answer.json() == {"id": digest, "bucket": "receipts", "key": KEY, "etag": "9b2cf5", "result": result}
    (record,) = front.sender.sent[TODO]
    upload = decode_upload(to_message(record))
    assert upload.ref == REF
    assert upload.time is not None
    assert trace_id(record.headers["traceparent"]) == TRACE


@pytest.mark.parametrize("size", [0, 20_971_521])
def test_an_upload_of_a_length_that_is_never_read_is_refused(front: Front, size: int) -> None:
    front.store.size = size
    status, message = error_of(front.post("/uploads/complete", {"key": KEY}))
    assert (status, message) == (400, f"key: the object has {size} bytes, expected 1 to 20971520")
    assert front.sender.sent == {}


@pytest.mark.parametrize(
    ("key", "status", "words"),
    [
        ("uploads/nothing.png", 404, "is the upload complete?"),
        ("others/a.png", 400, "expected one that begins with 'uploads/'"),
        ("uploads//a.png", 400, "copy the object under another key"),
        ("", 400, "key"),
    ],
)
def test_a_key_that_is_no_upload_is_refused(front: Front, key: str, status: int, words: str) -> None:
    found, message = error_of(front.post("/uploads/complete", {"key": key}))
    assert found == status
    assert words in message


def test_a_store_or_a_broker_that_is_away_is_a_503_that_says_which(front: Front) -> None:
    front.sender.sends.fails_always = NotDelivered("Local: Message timed out")
    answer = front.post("/uploads/complete", {"key": KEY})
    assert error_of(answer) == (503, "the broker: Local: Message timed out")
    assert answer.headers["Retry-After"] == "1"
    front.store.error = StoreUnavailable("ExpiredToken")
    assert error_of(front.post("/uploads/complete", {"key": KEY})) == (503, "the store: ExpiredToken")


def test_each_record_of_a_notification_is_a_message_under_its_object_s_key(front: Front) -> None:
    def record(key: str) -> dict[str, Any]:
        place = {"bucket": {"name": "receipts"}, "object": {"key": key, "eTag": "9b2cf5"}}
        return {"eventName": "ObjectCreated:Put", "s3": place}

    body = {"EventName": "s3:ObjectCreated:Put", "Records": [record("in/a+b.png"), record("in%2Fc.png")]}
    assert front.post("/notifications", body).json() == {"records": 2}
    sent = front.sender.sent[TODO]
    assert [one.key for one in sent] == [b"in/a b.png", b"in/c.png"]
    assert [decode_upload(to_message(one)).ref.key for one in sent] == ["in/a b.png", "in/c.png"]


def test_a_record_of_a_notification_that_is_no_upload_is_left_to_the_dlq(front: Front) -> None:
    assert front.post("/notifications", {"Records": [{"s3": 7}]}).json() == {"records": 1}
    (record,) = front.sender.sent[TODO]
    assert (record.key, json.loads(record.value or b"")) == (None, {"Records": [{"s3": 7}]})


def test_the_store_s_test_event_is_dropped(front: Front) -> None:
    assert front.post("/notifications", {"Service": "Amazon S3", "Event": "s3:TestEvent"}).json() == {"records": 0}
    assert front.sender.sent == {}


def test_a_result_is_answered_as_it_is_and_404_before_there_is_one(front: Front) -> None:
    assert front.request("GET", f"/results/{REF.digest('1')}").json() == {"receipt": {}}
    answer = front.request("GET", f"/results/{'0' * 64}")
    assert error_of(answer) == (404, "no result yet, or none of that id")
    assert answer.headers["Retry-After"] == "1"
    assert front.request("GET", "/results/..%2Fsecret").status_code in (400, 404)


def test_a_form_bounds_the_length_and_a_url_for_put_names_one_key(front: Front) -> None:
    form = front.post("/uploads", {}).json()
    assert (form["method"], form["url"], form["max_bytes"]) == ("POST", "http://localhost:9000/receipts", 20_971_520)
    assert form["key"].startswith("uploads/")
    put = front.post("/uploads", {"method": "PUT"}).json()
    assert put["url"].startswith(f"http://localhost:9000/receipts/{put['key']}?")
    assert "X-Amz-Signature=" in put["url"]
    assert put["fields"] == {}


def test_without_static_keys_there_are_no_forms(front: Front, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    status, message = error_of(front.post("/uploads", {"method": "POST"}))
    assert (status, message.partition(":")[0]) == (400, "method")
    assert "use PUT" in message


def test_without_a_key_nothing_is_granted_taken_or_told() -> None:
    front = Front(api_keys=["a-key-of-some-length"])
    requests = [("POST", "/uploads"), ("POST", "/uploads/complete"), ("POST", "/notifications")]
    for method, path in [*requests, ("GET", f"/results/{'0' * 64}")]:
        assert front.request(method, path, json={}).status_code == 401, path
    for path in ("/healthz", "/readyz", "/metrics", "/openapi.json"):
        assert front.request("GET", path).status_code == 200, path
    assert front.post("/uploads", {"method": "what"}, authorization="Bearer a-key-of-some-length").status_code == 400


def test_it_is_not_ready_without_a_broker(front: Front) -> None:
    assert front.request("GET", "/readyz").status_code == 200
    front.sender.sends.fails_always = NotDelivered("no broker")
    assert front.request("GET", "/readyz").status_code == 503


def test_requests_are_limited_and_counted() -> None:
    front = Front(rate_limit=1, max_body_bytes=100)
    assert front.post("/uploads/complete", {"key": "x" * 200}).status_code == 413
    assert front.post("/uploads/complete", {"key": KEY}).status_code == 202
    assert front.post("/uploads/complete", {"key": KEY}).status_code == 429
    series = front.request("GET", "/metrics").text
    assert 'ocrvl_pipeline_front_refusals_total{reason="rate_limit_exceeded"} 1.0' in series
    assert 'http_requests_total{handler="/uploads/complete",method="POST",status="202"} 1.0' in series
