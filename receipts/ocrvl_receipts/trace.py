"""Traces (OpenTelemetry): one from upload to result, with a span of each step where spans are sent somewhere."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, TraceFlags
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

HEADER: Final = "traceparent"

_FORM: Final = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_TRACER: Final = trace.get_tracer("ocrvl_receipts")
_W3C: Final = TraceContextTextMapPropagator()
_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")


@contextmanager
def follow(
    name: str, parent: str | None, kind: SpanKind, attributes: Mapping[str, str | int] | None = None
) -> Iterator[None]:
    """A step that another process began with the `traceparent` in `parent`, or of a new trace where that is none.

    Spans within the block hang below its own. Where no spans are sent, what `traceparent` gives there is `parent`.
    """
    with _TRACER.start_as_current_span(name, _extract(parent), kind, attributes) as span:
        if span.get_span_context().is_valid:
            yield
            return
    new = SpanContext(secrets.randbits(128) or 1, secrets.randbits(64) or 1, False, TraceFlags(TraceFlags.SAMPLED))
    with trace.use_span(NonRecordingSpan(new)):
        yield


@contextmanager
def step(name: str) -> Iterator[None]:
    """A step within the present one; an error that leaves the block is in its span."""
    with _TRACER.start_as_current_span(name):
        yield


def traceparent() -> str:
    """What the next process is to follow: the present step, in W3C's form."""
    carrier: dict[str, str] = {}
    _W3C.inject(carrier)
    return carrier.get(HEADER, "")


def trace_id(parent: str) -> str:
    """The trace that a `traceparent` belongs to; empty where it is in no such form."""
    found = _FORM.fullmatch(parent)
    return found[1] if found else ""


@contextmanager
def sending(service: str, environment: Mapping[str, str] = os.environ) -> Iterator[None]:
    """Send spans by OTLP over HTTP until the block ends, where OpenTelemetry's own variables say where to.

    `service` is what they are called unless `OTEL_SERVICE_NAME` has another name.
    """
    if not any(environment.get(name) for name in _ENDPOINTS):
        yield
        return
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    name = environment.get("OTEL_SERVICE_NAME") or service
    provider = TracerProvider(resource=Resource.create({SERVICE_NAME: name}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    try:
        yield
    finally:
        provider.shutdown()


def _extract(parent: str | None) -> Context:
    return _W3C.extract({HEADER: parent} if parent else {}, Context())
