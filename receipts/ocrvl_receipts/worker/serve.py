"""The worker as a process: it waits for a broker, works until SIGTERM or Ctrl-C, and serves its metrics."""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from prometheus_client import start_http_server

from ocrvl_receipts.kafka.consumer import GroupConsumer
from ocrvl_receipts.kafka.producer import Producer
from ocrvl_receipts.kafka.topics import ensure_topics
from ocrvl_receipts.metrics import WorkerMetrics
from ocrvl_receipts.reader import ReceiptReader, connect
from ocrvl_receipts.settings import WorkerSettings
from ocrvl_receipts.store import ObjectStore
from ocrvl_receipts.worker.loop import Worker
from ocrvl_receipts.worker.processor import Processor

_LOG: Final = logging.getLogger(__name__)


async def run_worker(
    settings: WorkerSettings, reader: ReceiptReader, stop: asyncio.Event, metrics: WorkerMetrics | None = None
) -> None:
    """Work until `stop` is set: then what is in flight is finished, committed, and the group left."""
    metrics = metrics or WorkerMetrics()
    waiting = asyncio.create_task(stop.wait())
    starting = asyncio.create_task(ensure_topics(settings))
    await asyncio.wait((waiting, starting), return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        starting.cancel()
        return
    waiting.cancel()
    starting.result()
    producer = Producer(settings)
    try:
        processor = Processor(settings, ObjectStore(settings), reader, producer, metrics)
        worker = Worker(settings, processor, metrics)
        topics = (settings.todo, *settings.retries)
        await worker.run(GroupConsumer(settings, topics, worker, metrics.set_lag), stop)
    finally:
        await producer.close()
        await reader.aclose()


async def serve(settings: WorkerSettings) -> None:
    """As `run_worker`, until a signal; metrics at `/metrics`."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    metrics = WorkerMetrics()
    with _serve_metrics(settings, metrics):
        await run_worker(settings, connect(settings), stop, metrics)


@contextmanager
def _serve_metrics(settings: WorkerSettings, metrics: WorkerMetrics) -> Iterator[None]:
    server, thread = start_http_server(settings.metrics_port, settings.metrics_host, metrics.registry)
    assert isinstance(thread, threading.Thread)
    _LOG.info("metrics at http://%s:%d/metrics", settings.metrics_host, server.server_port)
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
