"""A producer whose `send` returns when the broker has the record."""

from __future__ import annotations

import asyncio
import threading
from functools import partial
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka import Producer as Client

from ocrvl_receipts.events import Record
from ocrvl_receipts.kafka.connection import client_config, encode_headers
from ocrvl_receipts.settings import PipelineSettings

_POLL_SECONDS: Final = 0.1
_FLUSH_SECONDS: Final = 5.0
_CONNECT_SECONDS: Final = 2.0


class NotDelivered(Exception):
    """The broker has not taken a record; it may at another time."""


class RecordTooLarge(Exception):
    """The broker takes no record of that many bytes."""


class Producer:
    """Sends records in the order of their calls, each at least once and, while this producer lives, not twice.

    One thread serves the client's callbacks. Make it in the event loop that sends.
    """

    def __init__(self, settings: PipelineSettings, delivery_seconds: float = 30.0) -> None:
        config = {
            **client_config(settings),
            "enable.idempotence": True,
            "linger.ms": 5,
            "delivery.timeout.ms": round(delivery_seconds * 1000),
        }
        self._client = Client(config)
        self._loop = asyncio.get_running_loop()
        self._is_closing = False
        self._thread = threading.Thread(target=self._serve_callbacks, name="kafka-producer", daemon=True)
        self._thread.start()

    async def send(self, topic: str, record: Record) -> None:
        """Send a record and wait until it is stored. Raises `NotDelivered` and `RecordTooLarge`."""
        delivered: asyncio.Future[None] = self._loop.create_future()

        def on_delivery(error: KafkaError | None, _message: Any) -> None:
            self._loop.call_soon_threadsafe(partial(_settle, delivered, error))

        headers = encode_headers(record.headers)
        try:
            self._client.produce(topic, record.value, record.key, headers=headers, on_delivery=on_delivery)
        except BufferError:
            raise NotDelivered("the queue of what is to be sent is full") from None
        except KafkaException as error:
            raise _translate(error.args[0]) from None
        await delivered

    async def is_connected(self) -> bool:
        """Whether a broker answers within two seconds."""
        try:
            await asyncio.to_thread(self._client.list_topics, timeout=_CONNECT_SECONDS)
        except KafkaException:
            return False
        return True

    async def close(self) -> None:
        """Wait some seconds for what is being sent, and end."""
        await asyncio.to_thread(self._client.flush, _FLUSH_SECONDS)
        self._is_closing = True
        await asyncio.to_thread(self._thread.join)

    def _serve_callbacks(self) -> None:
        while not self._is_closing:
            self._client.poll(_POLL_SECONDS)


def _settle(delivered: asyncio.Future[None], error: KafkaError | None) -> None:
    if delivered.done():
        return
    if error is None:
        delivered.set_result(None)
    else:
        delivered.set_exception(_translate(error))


def _translate(error: KafkaError) -> Exception:
    if error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
        return RecordTooLarge(error.str())
    return NotDelivered(error.str())
