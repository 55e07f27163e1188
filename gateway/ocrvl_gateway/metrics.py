"""The gateway's Prometheus metrics, under the names that client libraries use for HTTP."""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_BUCKETS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900, 3600)
"""Seconds."""


class HttpMetrics:
    """The series of one HTTP server, in a registry of their own; `prefix` is of those that no client library names."""

    def __init__(self, prefix: str) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "http_requests",
            "Requests that were answered, by route and status; 499 is a client that disconnected.",
            ["method", "handler", "status"],
            registry=self.registry,
        )
        self.seconds = Histogram(
            "http_request_duration_seconds",
            "From a request's arrival to the last byte of its answer.",
            ["method", "handler"],
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self.in_flight = Gauge("http_requests_in_progress", "Inference requests in progress.", registry=self.registry)
        self.refusals = Counter(
            f"{prefix}_refusals",
            "Requests that were refused before they reached the server, by the error's code.",
            ["reason"],
            registry=self.registry,
        )


class GatewayMetrics(HttpMetrics):
    """The series of one gateway."""

    def __init__(self) -> None:
        super().__init__("ocrvl_gateway")
        self.tokens = Counter(
            "ocrvl_gateway_tokens",
            "Tokens of chat completions.",
            ["kind"],
            registry=self.registry,
        )
        self.pages = Counter("ocrvl_gateway_pages", "Pages of documents that were read.", registry=self.registry)
        self.receipts = Counter("ocrvl_gateway_receipts", "Receipts that were read.", registry=self.registry)
