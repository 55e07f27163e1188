"""The worker as a process: it waits for a broker, works until SIGTERM or Ctrl-C, and serves its metrics."""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final

from prometheus_client import start_http_server

from ocrvl_receipts.kafka.consumer import GroupConsumer
from ocrvl_receipts.kafka.producer import Producer
from ocrvl_receipts.kafka.topics import ensure_topics
from ocrvl_receipts.metrics import WorkerMetrics
from ocrvl_receipts.reader import ReceiptReader, connect
from ocrvl_receipts.settings import WorkerSettings
from ocrvl_receipts.store import ObjectStore
from ocrvl_receipts.trace import sending
from ocrvl_receipts.worker.loop import Worker
from ocrvl_receipts.worker.processor import Processor
from ocrvl_receipts.worker.window import Window

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
        await _work(settings, processor, metrics, stop)
    finally:
        await producer.close()
        await reader.aclose()


async def _work(settings: WorkerSettings, processor: Processor, metrics: WorkerMetrics, stop: asyncio.Event) -> None:
    """Uploads and retries, a group each: of one group for both, members may get partitions of retries alone.

    Where one of the two fails, the other stops, and then its error is raised.
    """
    window = Window(settings, metrics)
    groups = {settings.group: (settings.todo,), f"{settings.group}-retries": settings.retries}

    async def work(group: str, topics: tuple[str, ...]) -> None:
        worker = Worker(settings, processor, metrics, window)
        try:
            consumer = GroupConsumer(settings, topics, worker, partial(metrics.set_lag, group), group=group)
            await worker.run(consumer, stop)
        finally:
            stop.set()

    working = (work(group, topics) for group, topics in groups.items() if topics)
    for result in await asyncio.gather(*working, return_exceptions=True):
        if isinstance(result, BaseException):
            raise result


async def serve(settings: WorkerSettings) -> None:
    """As `run_worker`, until a signal; metrics at `/metrics`."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    metrics = WorkerMetrics()
    with sending("ocrvl-receipts-worker"), _serve_metrics(settings, metrics):
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
