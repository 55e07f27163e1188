"""A receiver of OpenTelemetry spans: OTLP over gRPC, as vLLM sends them, and over HTTP.

There Triton sends JSON, Python's exporter protobuf.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc


@dataclass(frozen=True)
class Span:
    """One span; ids in hexadecimal, `parent_id` empty where it has none."""

    name: str
    trace_id: str
    span_id: str
    parent_id: str


class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    """Takes in spans and keeps them; `grpc_url` and `http_url` are what exporters are told."""

    def __init__(self) -> None:
        self._spans: list[Span] = []
        self._grpc = grpc.server(ThreadPoolExecutor(1))
        trace_service_pb2_grpc.add_TraceServiceServicer_to_server(self, self._grpc)  # type: ignore[no-untyped-call]
        self.grpc_url = f"http://127.0.0.1:{self._grpc.add_insecure_port('127.0.0.1:0')}"
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self._spans))
        self.http_url = f"http://127.0.0.1:{self._http.server_port}/v1/traces"

    def spans(self, trace_id: str) -> list[Span]:
        """The spans of a trace that have arrived."""
        return [span for span in tuple(self._spans) if span.trace_id == trace_id]

    def Export(self, request: Any, context: Any) -> Any:  # noqa: N802 - the protocol's name
        self._spans.extend(_from_protobuf(request))
        return trace_service_pb2.ExportTraceServiceResponse()

    @contextmanager
    def running(self) -> Iterator[Collector]:
        """Listens until the block ends."""
        self._grpc.start()
        threading.Thread(target=self._http.serve_forever, daemon=True).start()
        try:
            yield self
        finally:
            self._http.shutdown()
            self._http.server_close()
            self._grpc.stop(grace=None)


def _from_protobuf(request: Any) -> list[Span]:
    return [
        Span(span.name, span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex())
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def _from_json(body: Any) -> list[Span]:
    return [
        Span(span["name"], span["traceId"], span["spanId"], span.get("parentSpanId", ""))
        for resource in body["resourceSpans"]
        for scope in resource["scopeSpans"]
        for span in scope["spans"]
    ]


def _handler(spans: list[Span]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers["Content-Type"] == "application/x-protobuf":
                spans.extend(_from_protobuf(trace_service_pb2.ExportTraceServiceRequest.FromString(body)))
            else:
                spans.extend(_from_json(json.loads(body)))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Nothing: requests are not worth a line."""

    return Handler
