"""What travels through Kafka: CloudEvents 1.0 in binary mode, their attributes as headers, JSON as the value.

`ocrvl.receipt.uploaded.v1` says where a receipt lies, `ocrvl.receipt.read.v1` where its result does. Images never
travel.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from ocrvl.validation import shorten
from ocrvl_receipts.errors import Code, Ignored, Refused
from ocrvl_receipts.notifications import find_uploads, is_notification
from ocrvl_receipts.objects import Upload, parse_ref, parse_time
from ocrvl_receipts.trace import HEADER as TRACEPARENT

SCHEMA_VERSION: Final = "1.0"
UPLOADED: Final = "ocrvl.receipt.uploaded.v1"
READ: Final = "ocrvl.receipt.read.v1"

_SOURCE: Final = "/ocrvl/receipts"
_MAJOR, _, _ = SCHEMA_VERSION.partition(".")


@dataclass(frozen=True)
class Record:
    """What is produced: key and value as bytes, headers as text."""

    key: bytes | None
    value: bytes | None
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Message:
    """What was consumed: a record and where it stands. Headers that are no UTF-8 have replacement characters."""

    topic: str
    partition: int
    offset: int
    key: bytes | None = None
    value: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def place(self) -> str:
        """Topic, partition and offset in one word."""
        return f"{self.topic}/{self.partition}/{self.offset}"


def encode_upload(upload: Upload, now: datetime | None = None) -> Record:
    """The event for the topic `todo`; its id is the same however often the upload is told."""
    return _encode(UPLOADED, upload, upload.ref.digest(""), upload.time or now or datetime.now(UTC), {})


def encode_read(upload: Upload, digest: str, result: Mapping[str, str], now: datetime | None = None) -> Record:
    """The event for the topic `done`; its id is the result's name, so that repeats can be told by it.

    `result` has the bucket and the key of the result.
    """
    return _encode(READ, upload, digest, now or datetime.now(UTC), {"result": dict(result)})


def decode_upload(message: Message) -> Upload:
    """The upload that a message of `todo` is about: our own event, or a notification of the store.

    Raises `Refused` for what is neither, and `Ignored` for a notification of something else.
    """
    try:
        value = json.loads(message.value or b"")
    except (ValueError, RecursionError) as error:
        raise Refused(Code.BAD_EVENT, f"the event is not JSON: {shorten(error)}") from None
    if not isinstance(value, dict):
        raise Refused(Code.BAD_EVENT, "the event is not a JSON object")
    kind, traceparent = message.headers.get("ce_type"), message.headers.get(TRACEPARENT)
    if kind is None and is_notification(value):
        uploads = find_uploads(value, traceparent)
        if not uploads:
            raise Ignored("a notification of no upload")
        if len(uploads) > 1:
            raise Refused(Code.BAD_EVENT, f"the notification has {len(uploads)} records, expected one to a message")
        return uploads[0]
    if kind not in (UPLOADED, None):
        raise Refused(Code.UNKNOWN_SCHEMA, f"the event's type is {shorten(kind)}, expected {UPLOADED}")
    version = value.get("schema_version")
    if not isinstance(version, str) or version.partition(".")[0] != _MAJOR:
        raise Refused(Code.UNKNOWN_SCHEMA, f"the event's schema_version is {shorten(version)}, expected {_MAJOR}.x")
    return Upload(parse_ref(value), parse_time(message.headers.get("ce_time")), traceparent)


def _encode(kind: str, upload: Upload, event_id: str, time: datetime, data: Mapping[str, Any]) -> Record:
    headers = {
        "ce_specversion": "1.0",
        "ce_id": event_id,
        "ce_source": _SOURCE,
        "ce_type": kind,
        "ce_time": time.isoformat(),
        "content-type": "application/json",
        **({TRACEPARENT: upload.traceparent} if upload.traceparent else {}),
    }
    value = {"schema_version": SCHEMA_VERSION, **upload.ref.to_dict(), **data}
    return Record(upload.ref.key.encode(), json.dumps(value).encode(), headers)
