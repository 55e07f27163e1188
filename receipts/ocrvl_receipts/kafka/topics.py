"""The pipeline's topics, made where they do not exist."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from ocrvl_receipts.kafka.connection import client_config
from ocrvl_receipts.settings import PipelineSettings

_LOG: Final = logging.getLogger(__name__)
_TIMEOUT: Final = 5.0


async def ensure_topics(settings: PipelineSettings) -> None:
    """Wait for a broker, and make the topics that it does not have; none where `partitions` is 0.

    A broker that is away is waited for: nothing can be done without one.
    """
    if not settings.partitions:
        return
    client = AdminClient(client_config(settings))
    while True:
        try:
            await asyncio.to_thread(_create_missing, client, settings)
            return
        except KafkaException as error:
            _LOG.warning("no topics yet at %s: %s", ",".join(settings.brokers), error.args[0].str())
            await asyncio.sleep(1)


def _create_missing(client: AdminClient, settings: PipelineSettings) -> None:
    wanted = (settings.todo, settings.done, settings.dlq, *settings.retries)
    present = client.list_topics(timeout=_TIMEOUT).topics
    missing = [topic for topic in wanted if topic not in present]
    if not missing:
        return
    # the broker's own replication factor
    topics = [NewTopic(topic, settings.partitions, -1) for topic in missing]
    for created in client.create_topics(topics, request_timeout=_TIMEOUT).values():
        try:
            created.result(_TIMEOUT)
        except KafkaException as error:
            # made by another process meanwhile
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise
    _LOG.info("made topics: %s", ", ".join(missing))
