"""Event notifications of S3 and of stores that speak its protocol: `Records[]`, keys URL-encoded as each does it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import unquote_plus

from ocrvl_receipts.errors import Code, Refused
from ocrvl_receipts.objects import Upload, parse_ref, parse_time

_CREATED: Final = ("ObjectCreated:", "s3:ObjectCreated:")


def is_notification(value: Mapping[str, Any]) -> bool:
    """Whether a JSON object has the form of a notification, or of the test event that S3 sends once."""
    return "Records" in value or value.get("Event") == "s3:TestEvent"


def find_uploads(value: Mapping[str, Any], traceparent: str | None = None) -> list[Upload]:
    """The uploads that a notification is about; none for deletions and for `s3:TestEvent`. Raises `Refused`.

    >>> place = {"bucket": {"name": "receipts"}, "object": {"key": "in%2Fa+b%2Bc.png", "eTag": "9b2cf5"}}
    >>> (upload,) = find_uploads({"Records": [{"eventName": "ObjectCreated:Put", "s3": place}]})
    >>> upload.ref.key
    'in/a b+c.png'
    """
    records = value.get("Records", [])
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise Refused(Code.BAD_EVENT, "the notification: Records is not a list of objects")
    created = [record for record in records if str(record.get("eventName")).startswith(_CREATED)]
    return [_parse(record, traceparent) for record in created]


def _parse(record: Mapping[str, Any], traceparent: str | None) -> Upload:
    try:
        bucket, place = record["s3"]["bucket"]["name"], record["s3"]["object"]
        values = {"bucket": bucket, "key": unquote_plus(place["key"], errors="strict"), "etag": place["eTag"]}
        version = place.get("versionId")
    except (KeyError, TypeError, AttributeError, UnicodeDecodeError) as error:
        raise Refused(
            Code.BAD_EVENT, f"the notification: a record without bucket, key and eTag ({type(error).__name__}: {error})"
        ) from None
    # what S3 calls the only version where there are none
    ref = parse_ref({**values, "version": None if version in ("", "null") else version})
    return Upload(ref, parse_time(record.get("eventTime")), traceparent)
