"""How Kafka's client is set up, and how what it says gets into the log."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any, Final

from confluent_kafka import KafkaError

from ocrvl_receipts.events import Message, Record
from ocrvl_receipts.settings import PipelineSettings, read_properties

_LOG: Final = logging.getLogger(__name__)
_LOG_SECONDS: Final = 10.0

Headers = list[tuple[str, str | bytes | None]]


def client_config(settings: PipelineSettings) -> dict[str, Any]:
    """What every client has: the brokers, TLS and SASL as the file of properties says, errors in the log."""
    properties = read_properties(settings.kafka_properties) if settings.kafka_properties else {}
    return {
        "bootstrap.servers": ",".join(settings.brokers),
        "client.id": "ocrvl-receipts",
        "error_cb": _ErrorLog(),
        # errors alone come here; the client's own lines would say each of them once more
        "log_level": 0,
        # a broker that is back is found within two seconds; the client's own pauses grow to ten
        "reconnect.backoff.max.ms": 2000,
        **properties,
    }


def encode_headers(headers: Mapping[str, str]) -> Headers:
    """Headers as the client takes them."""
    return [(name, value.encode()) for name, value in headers.items()]


def decode_message(message: Any) -> Message:
    """A message of the client; of headers with one name the last is kept."""
    headers = {name: _text(value) for name, value in message.headers() or []}
    return Message(message.topic(), message.partition(), message.offset(), message.key(), message.value(), headers)


def to_record(message: Message, headers: Mapping[str, str]) -> Record:
    """The same key and value with these headers instead."""
    return Record(message.key, message.value, headers)


def _text(value: str | bytes | None) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value or ""


class _ErrorLog:
    """Logs what a client cannot do at present, each kind of error every ten seconds; the client goes on by itself."""

    def __init__(self) -> None:
        self._next: dict[int, float] = {}

    def __call__(self, error: KafkaError) -> None:
        """Log an error, unless its kind was logged just now."""
        if time.monotonic() >= self._next.get(error.code(), 0.0):
            self._next[error.code()] = time.monotonic() + _LOG_SECONDS
            _LOG.warning("kafka: %s", error.str())
