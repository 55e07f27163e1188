"""What the probe and `serve` look for in the metrics is what the models publish."""

from __future__ import annotations

import re
from pathlib import Path

from ocrvl.metrics.definitions import PREFIX, CancelReason, EngineMetrics, PreprocessMetrics, StreamMetrics

SOURCES = [path.read_text("utf-8") for path in Path("client/ocrvl_client").glob("*.py")]


def test_every_series_that_is_looked_for_is_published() -> None:
    published = {
        sample.name
        for metrics in (EngineMetrics(), PreprocessMetrics(), StreamMetrics())
        for family in metrics.registry.collect()
        for sample in family.samples
    }
    looked_for = {name for source in SOURCES for name in re.findall(r'values_by_replica\([^"]*"(\w+)"\)', source)}
    assert len(looked_for) == 4
    assert {PREFIX + name for name in looked_for} <= published


def test_every_reason_for_an_end_is_documented() -> None:
    text = Path("docs/metrics.md").read_text("utf-8")
    assert all(f"`{reason}`" in text for reason in CancelReason)
