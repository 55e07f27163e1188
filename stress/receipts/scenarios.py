"""What is done to the pipeline, and what is measured meanwhile; each returns records for the figures."""

from __future__ import annotations

import asyncio
import re
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final, Protocol

from ocrvl.wire import Model
from ocrvl_client import AsyncClient
from ocrvl_client.metrics import HttpFetch
from perf.figures.data import Value
from perf.harness.receipts import Broker, Store
from perf.harness.receipts_process import PipelineProcess, wait_for
from stress.receipts.pipeline import BUCKET, Feed, Told, Watch

Record = dict[str, Value]

_DONE_SECONDS: Final = 3600.0
_REFUSED: Final = re.compile(r"outcome=refused seconds=([\d.]+)")
"""The worker's line about a receipt that went to the dlq."""


class Server(Protocol):
    """Triton, which can be stopped and started again at the same ports."""

    @property
    def grpc_url(self) -> str:
        """Host and port of gRPC."""

    @property
    def metrics(self) -> tuple[str, int]:
        """Host and port of the metrics."""

    def start(self) -> None:
        """Start it and wait until it is ready."""

    def stop(self) -> None:
        """End it at once."""


@dataclass
class Pipeline:
    """What the scenarios share. `make_worker` gives a worker that is not started yet, by its name."""

    broker: Broker
    store: Store
    feed: Feed
    watch: Watch
    server: Server
    make_worker: Callable[[str], PipelineProcess]
    images: Sequence[bytes]
    window: int

    def wait_until_done(self, keys: set[str]) -> None:
        """Wait until every one of these receipts has its event."""
        wait_for(lambda: keys <= {one.key for one in self.watch.done()}, _DONE_SECONDS, "all receipts")


def kill_and_pause(pipeline: Pipeline, count: int, away: float) -> Record:
    """Two workers; one is killed after a quarter, the broker stopped for `away` seconds after half."""
    refs = pipeline.feed.upload(_cycle(pipeline.images, count), "kill")
    keys = {ref.key for ref in refs}
    before = _reads(pipeline)

    def told() -> list[Told]:
        return [one for one in pipeline.watch.done() if one.key in keys]

    with ExitStack() as stack:
        first, second = (stack.enter_context(pipeline.make_worker(name)) for name in ("kill-1", "kill-2"))
        wait_for(lambda: bool(first.partitions() and second.partitions()), 120, "both workers to have partitions")
        pipeline.feed.send(refs)
        wait_for(lambda: len(told()) >= count // 4, _DONE_SECONDS, "a quarter of the receipts")
        orphaned = first.partitions()
        killed = time.monotonic()
        first.kill()
        wait_for(lambda: orphaned <= second.partitions(), 120, "the killed worker's partitions to go to the other")
        redelivered = time.monotonic() - killed
        known = {one.key for one in told()}
        waiting = {key for key in keys - known if pipeline.feed.partition_of[key] in orphaned}
        wait_for(lambda: any(one.key in waiting for one in told()), 120, "a receipt of the killed worker")
        done_again = min(one.time for one in told() if one.key in waiting) - killed
        wait_for(lambda: len({one.key for one in told()}) >= count // 2, _DONE_SECONDS, "half of the receipts")
        pipeline.broker.pause()
        time.sleep(away)
        pipeline.broker.resume()
        pipeline.wait_until_done(keys)
        window = pipeline.window
    results = _results(pipeline, [ref.digest("1") for ref in refs])
    return {
        "receipts": count,
        "results": results,
        "missing": count - results,
        "told_again": len(told()) - count,
        "read_again": _reads(pipeline) - before - count,
        "window": window,
        "redelivered_seconds": redelivered,
        "done_again_seconds": done_again,
        "buried": len(pipeline.watch.buried()),
    }


def poison(pipeline: Pipeline, count: int) -> Record:
    """The same receipts without and with a file that is no image before them.

    What it takes from the others is one of the worker's places, for as long as it holds it: none is delayed by more.
    """
    times: list[list[float]] = []
    buried = 0.0
    with pipeline.make_worker("poison") as worker:
        wait_for(lambda: bool(worker.partitions()), 120, "the worker to have partitions")
        for prefix, bad in (("warm", []), ("healthy", []), ("poisoned", [b"this is no image"])):
            refs = pipeline.feed.upload([*bad, *_cycle(pipeline.images, count)], prefix)
            keys = {ref.key for ref in refs[len(bad) :]}
            began = time.monotonic()
            pipeline.feed.send(refs)
            pipeline.wait_until_done(keys)
            times.append(sorted(one.time - began for one in pipeline.watch.done() if one.key in keys))
            if bad:
                buried = _wait_for_the_dlq(pipeline, refs[0].key) - began
        held = float(_REFUSED.findall(worker.log())[-1])
    _, healthy, poisoned = times
    return {
        "receipts": count,
        "in_dlq_after_seconds": buried,
        "held_seconds": held,
        "seconds_healthy": healthy[-1],
        "seconds_poisoned": poisoned[-1],
    }


def _wait_for_the_dlq(pipeline: Pipeline, key: str) -> float:
    """When the event of this object was seen there."""
    wait_for(lambda: any(one.key == key for one in pipeline.watch.buried()), 60, "the dlq")
    return next(one.time for one in pipeline.watch.buried() if one.key == key)


def engine_stopped(pipeline: Pipeline, count: int, seconds: float) -> Record:
    """Receipts that come while Triton is down, then Triton again at the same address."""
    buried = len(pipeline.watch.buried())
    with pipeline.make_worker("stopped") as worker:
        wait_for(lambda: bool(worker.partitions()), 120, "the worker to have partitions")
        pipeline.server.stop()
        refs = pipeline.feed.upload(_cycle(pipeline.images, count), "stopped")
        keys = {ref.key for ref in refs}
        memory: list[int] = [worker.memory()]
        lags: list[int] = []
        half = count // 2
        for part in (refs[:half], refs[half:]):
            pipeline.feed.send(part)
            deadline = time.monotonic() + seconds / 2
            while time.monotonic() < deadline:
                memory.append(worker.memory())
                time.sleep(0.5)
            lags.append(pipeline.feed.lag())
        meanwhile = len(pipeline.watch.buried()) - buried
        pipeline.server.start()
        back = time.monotonic()
        pipeline.wait_until_done(keys)
        first = min(one.time for one in pipeline.watch.done() if one.key in keys) - back
    return {
        "receipts": count,
        "memory_first_mib": memory[0] / 2**20,
        "memory_most_mib": max(memory) / 2**20,
        "lag_half": lags[0],
        "lag_all": lags[1],
        "buried": meanwhile,
        "first_after_seconds": first,
        "done": len(keys & {one.key for one in pipeline.watch.done()}),
    }


def throughput(pipeline: Pipeline, count: int, rounds: int, concurrency: int) -> Record:
    """The same receipts through the SDK's many-at-once call and through two workers, in turn."""
    images = _cycle(pipeline.images, count)
    direct, through = [], []
    with ExitStack() as stack:
        workers = [stack.enter_context(pipeline.make_worker(f"rate-{number}")) for number in (1, 2)]
        wait_for(lambda: all(worker.partitions() for worker in workers), 120, "both workers to have partitions")
        for number in range(rounds + 1):
            refs = pipeline.feed.upload(images, f"rate-{number}")
            keys = {ref.key for ref in refs}
            took = asyncio.run(_read_all(pipeline.server.grpc_url, images, concurrency))
            began = time.monotonic()
            pipeline.feed.send(refs)
            pipeline.wait_until_done(keys)
            last = max(one.time for one in pipeline.watch.done() if one.key in keys)
            # the first round is for warmth
            if number:
                direct.append(count / took)
                through.append(count / (last - began))
    return {
        "receipts": count,
        "rounds": rounds,
        "sdk_per_second": statistics.median(direct),
        "pipeline_per_second": statistics.median(through),
        "share": statistics.median(there / here for here, there in zip(direct, through, strict=True)),
    }


async def _read_all(url: str, images: Sequence[bytes], concurrency: int) -> float:
    async with AsyncClient(url) as client:
        began = time.monotonic()
        async for outcome in client.receipts_many(images, concurrency=concurrency, ordered=False):
            outcome.result()
        return time.monotonic() - began


def _cycle(images: Sequence[bytes], count: int) -> list[bytes]:
    return [images[number % len(images)] for number in range(count)]


def _results(pipeline: Pipeline, digests: Sequence[str]) -> int:
    pages = pipeline.store.s3.get_paginator("list_objects_v2").paginate(Bucket=f"{BUCKET}-results")
    found = {one["Key"] for page in pages for one in page.get("Contents", [])}
    return sum(f"{digest}.json" in found for digest in digests)


def _reads(pipeline: Pipeline) -> int:
    """Requests that `receipt` has answered well."""
    host, port = pipeline.server.metrics
    text = HttpFetch(host, port)("/metrics", 5).text
    name = f'nv_inference_request_success{{model="{Model.RECEIPT}"'
    return sum(round(float(line.rpartition(" ")[2])) for line in text.splitlines() if line.startswith(name))
