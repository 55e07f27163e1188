"""What could not be read: listed, shown, and sent again. A replay leaves messages where they are, as Kafka does."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from ocrvl_receipts.events import Message, Record
from ocrvl_receipts.kafka.connection import client_config, decode_message
from ocrvl_receipts.kafka.producer import Producer
from ocrvl_receipts.settings import PipelineSettings
from ocrvl_receipts.worker import failures

_CONNECT_SECONDS: Final = 10.0
_SILENT_SECONDS: Final = 10.0


class BrokerFailed(Exception):
    """The broker cannot be asked; the message says why."""


def read_dlq(settings: PipelineSettings) -> Iterator[Message]:
    """All messages of `dlq` that are there now, partition by partition. Raises `BrokerFailed`."""
    config = {"group.id": "ocrvl-receipts-dlq", "enable.auto.commit": False, "enable.partition.eof": True}
    client = Consumer({**client_config(settings), **config})
    try:
        topic = client.list_topics(settings.dlq, timeout=_CONNECT_SECONDS).topics[settings.dlq]
        left = set(topic.partitions)
        client.assign([TopicPartition(settings.dlq, number, OFFSET_BEGINNING) for number in sorted(left)])
        while left:
            message = client.poll(_SILENT_SECONDS)
            if message is None:
                raise BrokerFailed(f"nothing of {settings.dlq} for {_SILENT_SECONDS:g} s: is the broker well?")
            if (error := message.error()) is None:
                yield decode_message(message)
            elif error.code() == KafkaError._PARTITION_EOF:
                left.discard(message.partition())
    except KafkaException as error:
        raise BrokerFailed(f"{settings.dlq} at {','.join(settings.brokers)}: {error.args[0].str()}") from None
    finally:
        client.close()


def describe(message: Message) -> dict[str, Any]:
    """One message as JSON has it: where it stands, why it is there, where it stood first, its event."""
    headers = message.headers
    failed_at = headers.get(failures.FAILED_AT, "")
    source = (failures.SOURCE_TOPIC, failures.SOURCE_PARTITION, failures.SOURCE_OFFSET)
    return {
        "place": f"{message.partition}/{message.offset}",
        "code": headers.get(failures.ERROR_CODE, ""),
        "message": headers.get(failures.ERROR_MESSAGE, ""),
        "attempts": failures.count_attempts(message),
        "failed_at": datetime.fromtimestamp(int(failed_at) / 1000, UTC).isoformat() if failed_at.isdecimal() else "",
        "source": "/".join(headers.get(name, "") for name in source),
        "key": _text(message.key),
        "event": _text(message.value),
        "headers": dict(failures.event_headers(message)),
    }


async def replay(settings: PipelineSettings, messages: Sequence[Message]) -> None:
    """Send the events of these messages to `todo` again, as if they had never failed. Raises `NotDelivered`."""
    producer = Producer(settings)
    try:
        records = [Record(message.key, message.value, failures.event_headers(message)) for message in messages]
        await asyncio.gather(*(producer.send(settings.todo, record) for record in records))
    finally:
        await producer.close()


def is_replayable(message: Message) -> bool:
    """Whether its event is still with it."""
    return message.value is not None and failures.TRUNCATED not in message.headers


def _text(value: bytes | None) -> str:
    return (value or b"").decode("utf-8", "replace")
