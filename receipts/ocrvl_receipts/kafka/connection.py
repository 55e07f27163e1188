"""How Kafka's client is set up, and how what it says gets into the log."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final

from confluent_kafka import KafkaError

from ocrvl_receipts.events import Message, Record
from ocrvl_receipts.settings import PipelineSettings, read_properties

_LOG: Final = logging.getLogger(__name__)

Headers = list[tuple[str, str | bytes | None]]


def client_config(settings: PipelineSettings) -> dict[str, Any]:
    """What every client has: the brokers, TLS and SASL as the file of properties says, errors in the log."""
    properties = read_properties(settings.kafka_properties) if settings.kafka_properties else {}
    return {
        "bootstrap.servers": ",".join(settings.brokers),
        "client.id": "ocrvl-receipts",
        "error_cb": _log_error,
        "logger": logging.getLogger("ocrvl_receipts.librdkafka"),
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


def _log_error(error: KafkaError) -> None:
    # librdkafka goes on by itself; when none of the brokers can be reached it says so once
    _LOG.warning("kafka: %s", error.str())
