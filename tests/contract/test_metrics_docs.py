"""The table of metrics against what is defined, and the list of vLLM's against the vLLM that is installed."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

import pytest
from prometheus_client import Metric

from ocrvl.metrics.allow import VLLM_FAMILIES, is_published
from ocrvl.metrics.definitions import (
    DocumentMetrics,
    EngineMetrics,
    FieldsMetrics,
    LayoutMetrics,
    ModelMetrics,
    PreprocessMetrics,
    ReceiptMetrics,
    StreamMetrics,
)
from ocrvl_receipts.metrics import WorkerMetrics

PAGE = Path("docs/metrics.md").read_text("utf-8")
PARTS: dict[str, type[ModelMetrics]] = {
    "engine": EngineMetrics,
    "preprocess": PreprocessMetrics,
    "stream": StreamMetrics,
    "layout": LayoutMetrics,
    "fields": FieldsMetrics,
    "document": DocumentMetrics,
    "receipt": ReceiptMetrics,
}


def table() -> dict[str, tuple[set[str], str, set[str]]]:
    """Of every row of the first table: the series, whose it is, its type, its labels."""
    rows = {}
    first, _, _ = PAGE.partition("\n## Series of the receipts' pipeline\n")
    for line in first.splitlines():
        if re.match(r"\| `(ocrvl_|vllm:)", line):
            series, of, kind, labels, *_ = [cell.strip() for cell in line.split("|")[1:]]
            assert series not in rows, series
            rows[series.strip("`")] = (set(of.split(", ")), kind, set(re.findall(r"`(\w+)`", labels)))
    return rows


def families(part: str) -> list[Metric]:
    metrics = PARTS[part]()
    if isinstance(metrics, EngineMetrics):
        # which devices and adapters there are is known to a running engine only
        metrics.adapter_images.labels("forms")
        metrics.gpu_memory_used.labels("0").set(0)
        metrics.gpu_memory_reserved.labels("0").set(0)
    return list(metrics.registry.collect())


def series(family: Metric) -> str:
    return family.name + ("_total" if family.type == "counter" else "")


def vllm_kinds() -> dict[str, str]:
    """Names and types of the metrics in the source of the vLLM that is installed; it takes seconds to import."""
    spec = find_spec("vllm")
    assert spec is not None
    assert spec.origin is not None
    source = (Path(spec.origin).parent / "v1/metrics/loggers.py").read_text("utf-8")
    found = re.findall(r'self\._(gauge|counter|histogram)_cls\(\s*name="(vllm:\w+)"', source)
    return {name: kind for kind, name in found}


def test_every_metric_is_in_the_table_and_no_other() -> None:
    defined: dict[str, tuple[set[str], str, set[str]]] = {}
    for part in PARTS:
        for family in families(part):
            labels = {label for sample in family.samples for label in sample.labels} - {"le"}
            of = defined.get(series(family), (set(), "", set()))[0] | {part}
            defined[series(family)] = (of, family.type, labels)
    heartbeat = "ocrvl_heartbeat_timestamp_seconds"
    assert defined[heartbeat][0] == set(PARTS)
    defined[heartbeat] = ({"all"}, *defined[heartbeat][1:])
    assert {name: row for name, row in table().items() if name.startswith("ocrvl_")} == defined


def test_every_metric_of_vllm_that_is_let_through_is_in_the_table_and_no_other() -> None:
    kinds = vllm_kinds()
    wanted = {name + ("_total" if kinds.get(name) == "counter" else ""): kinds.get(name) for name in VLLM_FAMILIES}
    assert {name: kind for name, (_, kind, _) in table().items() if name.startswith("vllm:")} == wanted


@pytest.mark.parametrize("name", sorted(VLLM_FAMILIES))
def test_the_installed_vllm_has_every_metric_that_is_let_through(name: str) -> None:
    assert name in vllm_kinds()


@pytest.mark.parametrize("part", PARTS)
def test_every_metric_is_let_through_under_a_name_that_triton_takes(part: str) -> None:
    for family in families(part):
        assert is_published(family.name)
        # any other character in a name ends a server of Triton 2.51
        assert re.fullmatch(r"[a-z_]+", series(family))
        assert family.documentation


def test_every_metric_of_the_pipeline_is_in_its_table_and_no_other() -> None:
    metrics = WorkerMetrics()
    metrics.set_lag("group", {("receipts.todo", 0): 7})
    defined = {
        series(family): (family.type, {label for sample in family.samples for label in sample.labels} - {"le"})
        for family in metrics.registry.collect()
    }
    _, _, table = PAGE.partition("\n## Series of the receipts' pipeline\n")
    rows = [line.split("|")[1:] for line in table.splitlines() if line.startswith("| `ocrvl_")]
    documented = {
        name.strip(" `"): (kind.strip(), set(re.findall(r"`(\w+)`", labels))) for name, kind, labels, *_ in rows
    }
    assert documented == defined
