"""One trace from a caller through Triton to vLLM, at each endpoint, on a server that sends spans to a real receiver."""

from __future__ import annotations

import json
import re
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http

from ocrvl.engine_settings import SETTINGS_FILE
from ocrvl.launcher.locate import find_model_repository
from ocrvl.launcher.server import TritonServer
from ocrvl.wire import Model, Tensor
from perf.harness.server import server_options
from perf.harness.tensors import bytes_tensor, encode_inputs, image_tensors
from tests.support.collector import Collector, Span
from tests.support.starting import start_server
from tests.support.streams import Stream, wait_for

OBSERVABILITY = Path("docs/observability.md")
ENGINE_SPAN = "llm_request"
CALLER = "00f067aa0ba902b7"


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with Collector().running() as collector:
        yield collector


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory, collector: Collector) -> Iterator[TritonServer]:
    """A server that is told what the documentation says, but for the receiver's addresses."""
    repository = tmp_path_factory.mktemp("traced") / "repository"
    shutil.copytree(find_model_repository(), repository)
    settings = repository / Model.ENGINE / "1" / SETTINGS_FILE
    endpoint = {"otlp_traces_endpoint": collector.grpc_url}
    settings.write_text(json.dumps(json.loads(settings.read_text("utf-8")) | endpoint), "utf-8")
    arguments = documented_arguments(collector.http_url)
    with start_server(server_options(repository, extra_arguments=arguments, exit_timeout=5)) as server:
        yield server


def documented_arguments(url: str) -> tuple[str, ...]:
    _, _, section = OBSERVABILITY.read_text("utf-8").partition("## Tracing a request")
    command = section.split("```")[1]
    found = re.findall(r"--trace-config=\S+", command)
    assert any("url=" in argument for argument in found)
    return tuple(re.sub(r"url=\S+", f"url={url}", argument) for argument in found)


Send = Callable[[dict[str, str]], None]


def trace(server: TritonServer, collector: Collector, send: Send, names: set[str]) -> dict[str, Span]:
    """The spans of one request by their names, once all of these have come; each sender keeps them for some seconds.

    Senders give up a batch that they could not deliver in time, so a second request is traced where the first was not,
    if the server lives.
    """
    spans: list[Span] = []
    for _attempt in range(2):
        trace_id = secrets.token_hex(16)
        send({"traceparent": f"00-{trace_id}-{CALLER}-01"})
        with suppress(AssertionError):
            wait_for(lambda: {span.name for span in collector.spans(trace_id)} >= names, 60)  # noqa: B023 - called at once
        spans = collector.spans(trace_id)
        if {span.name for span in spans} >= names:
            return {span.name: span for span in spans}
        assert server.describe_end() is None, server.describe_end()
    raise AssertionError(f"expected {names}, got {[span.name for span in spans]}")


def ancestors(spans: dict[str, Span], name: str) -> list[str]:
    """The names of a span's parents up to the caller's, which is only known by its id."""
    by_id = {span.span_id: span for span in spans.values()}
    found, parent = [], spans[name].parent_id
    while parent in by_id:
        found.append(by_id[parent].name)
        parent = by_id[parent].parent_id
    return [*found, parent]


def test_a_unary_request_is_one_trace_from_the_caller_to_the_engine(
    traced: TritonServer, collector: Collector, png: bytes
) -> None:
    def send(headers: dict[str, str]) -> None:
        with triton_grpc.InferenceServerClient(traced.grpc_url) as client:
            client.infer(Model.OCR.value, encode_inputs(image_tensors(png)), headers=headers)

    spans = trace(traced, collector, send, {"InferRequest", Model.OCR, Model.PREPROCESS, ENGINE_SPAN})
    assert ancestors(spans, ENGINE_SPAN) == [Model.ENGINE, Model.OCR, "InferRequest", CALLER]
    assert ancestors(spans, Model.PREPROCESS) == [Model.OCR, "InferRequest", CALLER]


def test_over_http_it_is_the_same(traced: TritonServer, collector: Collector, png: bytes) -> None:
    image = triton_http.InferInput(Tensor.IMAGE.value, [1], "BYTES")
    image.set_data_from_numpy(bytes_tensor(png))

    def send(headers: dict[str, str]) -> None:
        with triton_http.InferenceServerClient(traced.http_url) as client:
            client.infer(Model.OCR.value, [image], headers=headers)

    spans = trace(traced, collector, send, {"InferRequest", ENGINE_SPAN})
    assert ancestors(spans, ENGINE_SPAN) == [Model.ENGINE, Model.OCR, "InferRequest", CALLER]


def test_a_stream_s_engine_hangs_below_the_model_that_was_called(
    traced: TritonServer, collector: Collector, png: bytes
) -> None:
    def send(headers: dict[str, str]) -> None:
        stream = Stream(traced, image_tensors(png), headers=headers)
        assert list(stream)
        stream.close()

    spans = trace(traced, collector, send, {"InferRequest", Model.STREAM, ENGINE_SPAN})
    assert ancestors(spans, ENGINE_SPAN) == [Model.STREAM, "InferRequest", CALLER]


def test_every_block_of_a_document_is_in_the_document_s_trace(
    traced: TritonServer, collector: Collector, png: bytes
) -> None:
    tensors: dict[Tensor, Any] = {Tensor.FILE: bytes_tensor(png)}

    def send(headers: dict[str, str]) -> None:
        with triton_grpc.InferenceServerClient(traced.grpc_url) as client:
            client.infer(Model.DOCUMENT.value, encode_inputs(tensors), headers=headers)

    spans = trace(traced, collector, send, {"InferRequest", Model.DOCUMENT, ENGINE_SPAN})
    assert ancestors(spans, ENGINE_SPAN) == [Model.DOCUMENT, "InferRequest", CALLER]
