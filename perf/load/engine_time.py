"""Where time goes in the engine: means of what its model and vLLM count, between two looks at the metrics.

Triton's own figures do not have it: `paddleocr_vl` hands a request to the engine and answers later, and Triton counts
the handing over alone.
"""

from __future__ import annotations

import time
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

from ocrvl.address import split_address
from ocrvl_client.metrics import HttpFetch
from perf.load.measurement import EngineTime

_REQUEST = "ocrvl_request_seconds"
_ADMISSION = "ocrvl_admission_wait_seconds"
_QUEUE = "vllm:request_queue_time_seconds"
_FIRST_TOKEN = "vllm:time_to_first_token_seconds"  # noqa: S105 - a name
_IN_FLIGHT = "ocrvl_engine_images_in_flight"
_MODEL_NAME = "vllm:num_requests_running"
_SCRAPE_SECONDS = 5.0
_PUBLICATION_SECONDS = 1.5
"""The models publish once a second."""


@dataclass(frozen=True)
class EngineCounts:
    """The sums of all engines' series by name, and the checkpoint that they serve, empty if they do not tell."""

    values: dict[str, float]
    checkpoint: str = ""

    @classmethod
    def parse(cls, text: str) -> EngineCounts:
        """From Prometheus's text format."""
        values: dict[str, float] = defaultdict(float)
        checkpoint = ""
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                # the parser calls every counter's samples `…_total`
                values[sample.name.removesuffix("_total")] += sample.value
                if sample.name == _MODEL_NAME:
                    checkpoint = sample.labels["model_name"]
        return cls(values, checkpoint)

    def since(self, earlier: EngineCounts) -> EngineTime | None:
        """What the images took that were answered in between; None if there were none."""

        def mean(name: str) -> float:
            count = self.values[f"{name}_count"] - earlier.values[f"{name}_count"]
            return 1000 * (self.values[f"{name}_sum"] - earlier.values[f"{name}_sum"]) / count if count else 0.0

        if not (total := mean(_REQUEST)):
            return None
        admission, queue, first_token = mean(_ADMISSION), mean(_QUEUE), mean(_FIRST_TOKEN)
        # vLLM counts its own queue into the time to the first token
        return EngineTime(
            waiting=admission + queue,
            first_token=max(first_token - queue, 0.0),
            other_tokens=max(total - admission - first_token, 0.0),
        )


class MetricsReader:
    """Looks at a server's metrics. `address` is host and port."""

    def __init__(self, address: str) -> None:
        self._fetch = HttpFetch(*split_address(address))

    def settle(self, within: float = 60.0) -> EngineCounts:
        """The counts once the engines have answered all they had: what one measurement leaves must not be the next's.

        `within` bounds the wait in seconds. Raises `OSError`.
        """
        deadline = time.monotonic() + within
        while True:
            time.sleep(_PUBLICATION_SECONDS)
            counts = EngineCounts.parse(self._scrape())
            if not counts.values[_IN_FLIGHT] or time.monotonic() > deadline:
                return counts

    def _scrape(self) -> str:
        # once more where the connection is reset, which Triton does under load at times
        with suppress(ConnectionResetError):
            return self._fetch("/metrics", _SCRAPE_SECONDS).text
        return self._fetch("/metrics", _SCRAPE_SECONDS).text
