"""Events: what is written can be read, and what is no event says so."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocrvl_receipts.errors import Code, Ignored, Refused
from ocrvl_receipts.events import READ, UPLOADED, Message, decode_upload, encode_read, encode_upload
from ocrvl_receipts.objects import ObjectRef, Upload, check_key
from ocrvl_receipts.trace import trace_id
from tests.support import receipts
from tests.support.receipts import REF, TRACE, TRACEPARENT, to_message

UPLOAD = Upload(REF, receipts.UPLOADED, TRACEPARENT)
VALUE = {"schema_version": "1.0", "bucket": "receipts", "key": "in/a.png", "etag": "9b2cf5"}


def is_supported(key: str) -> bool:
    try:
        check_key(key)
    except Refused:
        return False
    return True


def message(value: Any, **headers: str) -> Message:
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return Message("receipts.todo", 0, 7, b"key", text, headers)


def notification(key: Any = "in/a.png", event: str = "ObjectCreated:Put", **changes: Any) -> dict[str, Any]:
    place = {"key": key, "eTag": "9b2cf5", "size": 5, **changes}
    record = {"eventName": event, "eventTime": "2026-11-30T12:00:00.000Z"}
    return {"Records": [{**record, "s3": {"bucket": {"name": "receipts"}, "object": place}}]}


def test_an_upload_travels_as_a_cloud_event_in_binary_mode() -> None:
    record = encode_upload(UPLOAD)
    assert record.key == b"in/a.png"
    assert json.loads(record.value or b"") == VALUE
    headers = dict(record.headers)
    assert trace_id(headers.pop("traceparent")) == TRACE
    assert headers == {
        "ce_specversion": "1.0",
        "ce_id": REF.digest(""),
        "ce_source": "/ocrvl/receipts",
        "ce_type": UPLOADED,
        "ce_time": "2026-11-30T12:00:00+00:00",
        "content-type": "application/json",
    }


def test_what_is_encoded_is_decoded_to_the_same_upload() -> None:
    decoded = decode_upload(to_message(encode_upload(UPLOAD)))
    assert (decoded.ref, decoded.time) == (UPLOAD.ref, UPLOAD.time)
    assert decoded.traceparent is not None
    assert trace_id(decoded.traceparent) == TRACE


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=256))
def test_a_key_with_any_characters_arrives_as_it_was_or_is_refused_by_name(key: str) -> None:
    ref = ObjectRef(bucket="receipts", key=key, etag="a")
    record = encode_upload(Upload(ref))
    assert record.key == key.encode()
    if is_supported(key):
        assert decode_upload(to_message(record)).ref == ref
    else:
        with pytest.raises(Refused, match="copy the object under another key"):
            decode_upload(to_message(record))


def test_a_result_s_event_says_where_it_lies_and_has_its_name_as_id() -> None:
    record = encode_read(UPLOAD, "d1", {"bucket": "results", "key": "d1.json"})
    assert record.headers["ce_type"] == READ
    assert record.headers["ce_id"] == "d1"
    assert json.loads(record.value or b"") == {**VALUE, "result": {"bucket": "results", "key": "d1.json"}}


@pytest.mark.parametrize(
    ("value", "code", "words"),
    [
        (b"", Code.BAD_EVENT, "is not JSON"),
        (b"{", Code.BAD_EVENT, "is not JSON"),
        (b"[" * 100_000, Code.BAD_EVENT, "is not JSON"),
        (b"\xff\xfe", Code.BAD_EVENT, "is not JSON"),
        ([], Code.BAD_EVENT, "is not a JSON object"),
        ({}, Code.UNKNOWN_SCHEMA, "schema_version is None, expected 1.x"),
        ({**VALUE, "schema_version": "2.0"}, Code.UNKNOWN_SCHEMA, "schema_version is 2.0, expected 1.x"),
        ({**VALUE, "schema_version": 1}, Code.UNKNOWN_SCHEMA, "schema_version is 1, expected 1.x"),
        ({**VALUE, "etag": ""}, Code.BAD_EVENT, "etag"),
        ({**VALUE, "etag": 'a"\r\nb'}, Code.BAD_EVENT, "etag"),
        ({**VALUE, "key": ""}, Code.BAD_EVENT, "key"),
        ({**VALUE, "key": 7}, Code.BAD_EVENT, "key"),
        ({**VALUE, "key": "\ud800"}, Code.BAD_EVENT, "key"),
        ({**VALUE, "key": "a" * 1025}, Code.BAD_EVENT, "key"),
        ({**VALUE, "key": "a/../b"}, Code.KEY_NOT_SUPPORTED, "'a/../b'"),
        ({**VALUE, "bucket": None}, Code.BAD_EVENT, "bucket"),
        ({"Records": 7}, Code.BAD_EVENT, "Records is not a list"),
        ({"Records": [7]}, Code.BAD_EVENT, "Records is not a list of objects"),
        ({"Records": [{"eventName": "ObjectCreated:Put"}]}, Code.BAD_EVENT, "without bucket, key and eTag"),
        (notification(key=7), Code.BAD_EVENT, "without bucket, key and eTag"),
        (notification(key="%ff"), Code.BAD_EVENT, "without bucket, key and eTag"),
        (notification(eTag=None), Code.BAD_EVENT, "etag"),
        ({"Records": notification()["Records"] * 2}, Code.BAD_EVENT, "2 records, expected one"),
    ],
)
def test_what_is_no_event_is_refused_with_what_is_wrong(value: Any, code: Code, words: str) -> None:
    with pytest.raises(Refused, match=words) as refused:
        decode_upload(message(value))
    assert refused.value.code is code


def test_an_event_of_another_type_is_refused() -> None:
    with pytest.raises(Refused, match=r"type is ocrvl\.receipt\.uploaded\.v2"):
        decode_upload(message(VALUE, ce_type="ocrvl.receipt.uploaded.v2"))


def test_keys_that_a_later_minor_version_adds_are_left_alone() -> None:
    assert decode_upload(message({**VALUE, "schema_version": "1.7", "colour": "red"})).ref == REF


@pytest.mark.parametrize("encoded", ["in%2Fa+b%2Bc.png", "in/a+b%2Bc.png"])
def test_a_notification_of_a_store_is_an_upload_however_it_encodes_the_key(encoded: str) -> None:
    upload = decode_upload(message(notification(encoded, versionId="null")))
    assert upload.ref == ObjectRef(bucket="receipts", key="in/a b+c.png", etag="9b2cf5")
    assert upload.time == receipts.UPLOADED


def test_a_notification_names_the_version_where_the_bucket_keeps_versions() -> None:
    assert decode_upload(message(notification(versionId="v7"))).ref.version == "v7"


@pytest.mark.parametrize(
    "value",
    [
        {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "receipts"},
        notification(event="ObjectRemoved:Delete"),
        {"Records": []},
    ],
)
def test_a_notification_of_no_upload_is_ignored(value: Any) -> None:
    with pytest.raises(Ignored):
        decode_upload(message(value))


def test_a_stores_own_prefix_of_event_names_is_known() -> None:
    assert decode_upload(message(notification(event="s3:ObjectCreated:CompleteMultipartUpload"))).ref == REF
