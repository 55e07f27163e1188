"""Every series that the dashboard, the alerts and the autoscaler ask for is published, by the server or a worker."""

from __future__ import annotations

from random import Random

import pytest
from prometheus_client import generate_latest

from ocrvl.launcher.server import TritonServer
from ocrvl.metrics.definitions import EngineMetrics
from ocrvl_client import Client
from ocrvl_receipts.metrics import Outcome, WorkerMetrics
from tests.support.promql import Labels, missing, read_query, read_samples
from tests.support.streams import metric, scrape, wait_for
from tests.support.watching import list_queries
from training.nano.world import World

TRITON_ON_GPUS = {"nv_gpu_utilization": {"gpu_uuid": ""}}
"""What Triton publishes only where there are GPUs; the label is as its documentation has it."""


@pytest.fixture(scope="module")
def samples(server: TritonServer) -> list[tuple[str, Labels]]:
    """All series after an image and a document have been read, and those of a GPU, which may not be there."""
    png = World(Random(7)).line().png()
    before = metric(server, "ocrvl_images_total"), metric(server, "ocrvl_document_pages_total")
    with Client(server.grpc_url) as client:
        client.read(png)
        client.document(png)
    wait_for(lambda: metric(server, "ocrvl_images_total") > before[0])
    wait_for(lambda: metric(server, "ocrvl_document_pages_total") > before[1])
    metrics = EngineMetrics()
    metrics.gpu_memory_used.labels("0")
    metrics.gpu_memory_reserved.labels("0")
    on_gpus = [(one.name, one.labels) for family in metrics.registry.collect() for one in family.samples]
    on_gpus = [(name, labels | {"replica": ""}) for name, labels in on_gpus if "gpu" in name]
    return [*read_samples(scrape(server)), *on_gpus, *TRITON_ON_GPUS.items(), *worker_samples()]


def worker_samples() -> list[tuple[str, Labels]]:
    """All series of a worker of receipts that has a partition and has refused a message."""
    metrics = WorkerMetrics()
    metrics.set_lag("workers", {("receipts.todo", 0): 1})
    metrics.outcomes.labels(Outcome.REFUSED, "INVALID_ARG")
    return [*read_samples(generate_latest(metrics.registry).decode())]


@pytest.mark.parametrize(("where", "query", "legend"), list_queries())
def test_every_series_and_label_of_a_query_is_published(
    samples: list[tuple[str, Labels]], where: str, query: str, legend: str
) -> None:
    assert not missing(read_query(query), samples, legend), where


def test_a_series_that_is_missing_is_noticed(samples: list[tuple[str, Labels]]) -> None:
    query = 'sum by (colour) (rate(ocrvl_requests_total{outcome="lost"}[5m])) / ocrvl_images_total'
    found = missing(read_query(query), samples, "{{replica}} {{mood}}")
    assert found == ['ocrvl_requests_total{outcome="lost"}', "colour", "mood"]
