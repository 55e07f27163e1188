"""Messages that failed, as records for the retry topics and for `dlq`: the event itself with our headers beside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ocrvl_receipts.errors import ReceiptError
from ocrvl_receipts.events import Message, Record

PREFIX: Final = "ocrvl_"
"""Of headers that are ours alone; a replay leaves them out."""

ATTEMPTS: Final = "ocrvl_attempts"
NOT_BEFORE: Final = "ocrvl_not_before"
ERROR_CODE: Final = "ocrvl_error_code"
ERROR_MESSAGE: Final = "ocrvl_error_message"
SOURCE_TOPIC: Final = "ocrvl_source_topic"
SOURCE_PARTITION: Final = "ocrvl_source_partition"
SOURCE_OFFSET: Final = "ocrvl_source_offset"
FAILED_AT: Final = "ocrvl_failed_at"
TRUNCATED: Final = "ocrvl_truncated"

_MESSAGE_CHARACTERS: Final = 1000


def count_attempts(message: Message) -> int:
    """How often this receipt has failed before."""
    text = message.headers.get(ATTEMPTS, "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else 0


def seconds_until_due(message: Message, now: float) -> float:
    """Seconds until a message of a retry topic may be tried again; at most 0 where it may be now."""
    text = message.headers.get(NOT_BEFORE, "")
    return int(text) / 1000 - now if text.isascii() and text.isdecimal() and len(text) < 20 else 0.0


def encode_failure(message: Message, error: ReceiptError, attempts: int, now: float, delay: float = 0.0) -> Record:
    """The message with why, when and how often it failed, and where it stood first. `now` and `delay` in seconds."""
    ours = {
        ATTEMPTS: str(attempts),
        ERROR_CODE: error.code.value,
        ERROR_MESSAGE: error.message[:_MESSAGE_CHARACTERS],
        FAILED_AT: str(round(now * 1000)),
        SOURCE_TOPIC: message.headers.get(SOURCE_TOPIC, message.topic),
        SOURCE_PARTITION: message.headers.get(SOURCE_PARTITION, str(message.partition)),
        SOURCE_OFFSET: message.headers.get(SOURCE_OFFSET, str(message.offset)),
    }
    if delay:
        ours[NOT_BEFORE] = str(round((now + delay) * 1000))
    return Record(message.key, message.value, {**event_headers(message), **ours})


def without_value(record: Record) -> Record:
    """What is left of a record that is too large with these headers; where its event stands is in them."""
    return Record(record.key, None, {**record.headers, TRUNCATED: "true"})


def event_headers(message: Message) -> Mapping[str, str]:
    """The headers of the event itself."""
    return {name: value for name, value in message.headers.items() if not name.startswith(PREFIX)}
