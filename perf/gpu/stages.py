"""Where a request's time goes in a server, by its metrics."""

from __future__ import annotations

import urllib.request
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

_HISTOGRAMS: Final = {
    "vllm:time_to_first_token_seconds": "engine, first token",
    "vllm:request_queue_time_seconds": "engine, queue",
}
_MODEL_SECONDS: Final = "nv_inference_request_duration_us"
_MODEL_REQUESTS: Final = "nv_inference_request_success"
_READ: Final = "vllm:request_success_total"


@dataclass(frozen=True)
class Totals:
    """What a server has counted so far: images by engine, seconds and requests by stage."""

    images: Mapping[str, float] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    requests: Mapping[str, float] = field(default_factory=dict)

    def images_since(self, before: Totals) -> dict[str, float]:
        """Images by engine."""
        return {engine: count - before.images.get(engine, 0.0) for engine, count in self.images.items()}

    def means_since(self, before: Totals) -> dict[str, float]:
        """Seconds of a request in each stage that had any."""
        counts = {stage: count - before.requests.get(stage, 0.0) for stage, count in self.requests.items()}
        return {
            stage: (self.seconds.get(stage, 0.0) - before.seconds.get(stage, 0.0)) / count
            for stage, count in counts.items()
            if count > 0
        }


def read_totals(metrics: str) -> Totals:
    """Those of the server whose metrics are at this address."""
    with urllib.request.urlopen(f"http://{metrics}/metrics", timeout=10) as answer:
        return parse_totals(answer.read().decode())


def parse_totals(text: str) -> Totals:
    """Of a server's metrics; a bare engine's model has none of vLLM's."""
    images, seconds, requests = (defaultdict[str, float](float) for _ in range(3))
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            name, labels = sample.name, sample.labels
            if name == _READ:
                images[labels["replica"]] += sample.value
            elif name.startswith(_MODEL_SECONDS):
                seconds[labels["model"]] += sample.value / 1e6
            elif name.startswith(_MODEL_REQUESTS):
                requests[labels["model"]] += sample.value
            elif (stage := _HISTOGRAMS.get(name.removesuffix("_sum"))) and name.endswith("_sum"):
                seconds[stage] += sample.value
            elif (stage := _HISTOGRAMS.get(name.removesuffix("_count"))) and name.endswith("_count"):
                requests[stage] += sample.value
    return Totals(dict(images), dict(seconds), dict(requests))
