"""A request that is ended early ends in the engine, wherever it can be ended."""

from __future__ import annotations

import base64
import json
import socket
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress

import pytest
import tritonclient.grpc as triton_grpc
from tritonclient.utils import InferenceServerException

from ocrvl.launcher.server import TritonServer
from ocrvl.wire import FinishReason, Model, Task, Tensor
from ocrvl_cli.liveness import liveness_check
from ocrvl_client import Client, Document, InvalidRequest, Reading, RequestCancelled
from ocrvl_client.metrics import HttpFetch
from perf.harness.tensors import encode_inputs, image_tensors
from tests.support.raw import PROTOCOLS, TIMEOUT
from tests.support.streams import LONG, cancel, metric, opened, wait_for

RUNNING = "vllm:num_requests_running"
KV = "vllm:kv_cache_usage_perc"
TOKENS = "vllm:generation_tokens_total"


def wait_until_idle(server: TritonServer) -> None:
    """Wait until the engine has nothing to do and holds nothing; far less than the long request would take."""
    wait_for(lambda: metric(server, RUNNING) == 0 and metric(server, KV) == 0, seconds=10)


def wait_until_busy(server: TritonServer, requests: int) -> None:
    wait_for(lambda: metric(server, RUNNING) == requests)


def test_a_closed_stream_ends_its_work(server: TritonServer, png: bytes) -> None:
    with opened(server, image_tensors(png, **LONG)):
        wait_until_busy(server, 1)
    wait_until_idle(server)


def test_streams_that_are_left_anywhere_leave_the_server_as_it_was(server: TritonServer, png: bytes) -> None:
    """Triton 2.51 dies or hangs over calls that are broken off while it answers them; the client breaks none off."""
    with Client(server.grpc_url, timeout=TIMEOUT) as client:
        for number in range(30):
            parts = client.stream(png, max_tokens=4) if number % 3 else client.document_stream(png)
            with closing(parts):
                next(part for part in parts if number % 2 or isinstance(part, Reading | Document))
        assert "".join(part for part in client.stream(png, max_tokens=4) if isinstance(part, str))
    assert server.describe_end() is None


def test_a_server_that_works_is_alive_by_the_check_of_the_one_who_looks_after_it(server: TritonServer) -> None:
    host, metrics = server.options.host, server.metrics_port
    check = liveness_check(HttpFetch(host, server.http_port), HttpFetch(host, metrics), server.grpc_url, TIMEOUT)
    assert check() is None


def test_several_requests_of_one_closed_stream_all_end(server: TritonServer, png: bytes) -> None:
    client = triton_grpc.InferenceServerClient(server.grpc_url)
    client.start_stream(lambda result, error: None)
    for _ in range(4):
        client.async_stream_infer(Model.STREAM.value, encode_inputs(image_tensors(png, **LONG)))
    wait_until_busy(server, 4)
    client.stop_stream(cancel_requests=True)
    wait_until_idle(server)


def test_at_most_three_tokens_follow_the_end(server: TritonServer, png: bytes) -> None:
    """What the engine generated, by its own count, against what it sent on: a letter is a token here."""
    token = uuid.uuid4().hex
    wait_until_idle(server)
    # what was counted before is published by then
    time.sleep(2)
    before = metric(server, TOKENS)
    sent_on = 0
    with opened(server, image_tensors(png, cancel_token=token, **LONG)) as stream:
        wait_until_busy(server, 1)
        assert cancel(server, token) == 1
        with suppress(InferenceServerException):
            for response in stream:
                sent_on += len(response[Tensor.TEXT])
    wait_until_idle(server)
    time.sleep(2)
    assert sent_on > 0
    assert 0 <= metric(server, TOKENS) - before - sent_on <= 3


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_time_limit_ends_a_unary_request(server: TritonServer, protocol: str, png: bytes) -> None:
    url = server.grpc_url if protocol == "grpc" else server.http_url
    with (
        Client(url, protocol="grpc" if protocol == "grpc" else "http") as client,
        pytest.raises(RequestCancelled, match="timeout_ms has passed"),
    ):
        client.read(png, timeout_ms=300, **LONG)
    wait_until_idle(server)


def test_the_time_limit_ends_a_stream(server: TritonServer, png: bytes) -> None:
    with (
        opened(server, image_tensors(png, timeout_ms=300, **LONG)) as stream,
        pytest.raises(InferenceServerException, match=r"\[CANCELLED\] timeout_ms has passed"),
    ):
        list(stream)
    wait_until_idle(server)


def test_a_closed_http_stream_ends_its_work(server: TritonServer, png: bytes) -> None:
    body = json.dumps({"image": base64.b64encode(png).decode(), "options": json.dumps(dict(LONG))}).encode()
    head = (
        f"POST /v2/models/{Model.STREAM}/generate_stream HTTP/1.1\r\nHost: localhost\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    host, port = server.http_url.split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(head.encode() + body)
        wait_until_busy(server, 1)
    wait_until_idle(server)


def test_a_direct_call_to_the_engine_s_model_ends_with_its_caller(server: TritonServer, png: bytes) -> None:
    """What Triton itself tells a model it tells of calls to that model alone, not of those inside an ensemble."""
    client = triton_grpc.InferenceServerClient(server.grpc_url)
    names = ["patches", "grid_thw", "source_size", "tasks", "image_error", "image_warning", "checked_options"]
    prepared = client.infer(Model.PREPROCESS.value, encode_inputs(image_tensors(png, **LONG)))
    direct = client.async_infer(
        Model.ENGINE.value,
        encode_inputs({Tensor(name): prepared.as_numpy(name) for name in names}),
        lambda result, error: None,
    )
    wait_until_busy(server, 1)
    direct.cancel()
    wait_until_idle(server)


def _read(server: TritonServer, png: bytes, token: str) -> str:
    with Client(server.grpc_url) as client:
        return client.read(png, cancel_token=token, **LONG).text


def test_a_token_ends_requests_inside_the_ensemble_and_no_others(server: TritonServer, png: bytes) -> None:
    token, other = uuid.uuid4().hex, uuid.uuid4().hex
    with ThreadPoolExecutor() as pool:
        ended = [pool.submit(_read, server, png, token) for _ in range(3)]
        kept = pool.submit(_read, server, png, other)
        wait_until_busy(server, 4)
        assert cancel(server, token) == 3
        errors = [request.exception(timeout=10) for request in ended]
        wait_until_busy(server, 1)
        assert cancel(server, other) == 1
        assert isinstance(kept.exception(timeout=10), RequestCancelled)
    assert all(isinstance(error, RequestCancelled) for error in errors)
    wait_until_idle(server)


def test_a_token_ends_a_stream_too(server: TritonServer, png: bytes) -> None:
    token = uuid.uuid4().hex
    with opened(server, image_tensors(png, cancel_token=token, **LONG)) as stream:
        next(iter(stream))
        assert cancel(server, token) == 1
        with pytest.raises(InferenceServerException, match=r"\[CANCELLED\] cancelled by its token"):
            list(stream)


def test_a_token_is_remembered_for_requests_that_are_on_their_way(server: TritonServer, png: bytes) -> None:
    token = uuid.uuid4().hex
    assert cancel(server, token) == 0
    with Client(server.grpc_url) as client, pytest.raises(RequestCancelled, match="by its token"):
        client.read(png, cancel_token=token)


@pytest.mark.parametrize("token", ["", "short", "x" * 200, "with spaces, and long enough"])
def test_what_is_no_token_is_refused(server: TritonServer, token: str, png: bytes) -> None:
    with pytest.raises(InferenceServerException, match="cancel_token"):
        cancel(server, token)
    with Client(server.grpc_url) as client, pytest.raises(InvalidRequest, match="cancel_token"):
        client.read(png, cancel_token=token)


def test_text_that_only_repeats_itself_is_ended_while_it_is_generated(server: TritonServer, png: bytes) -> None:
    with Client(server.grpc_url) as client:
        # a pattern that leaves the model nothing but to repeat itself
        reading = client.read(png, regex="(ab){800}", raw=True)
        whole = client.read(png, regex="(ab){200}", raw=True, stop_repetition=False)
    assert reading.finish_reason is FinishReason.REPETITION
    assert reading.num_output_tokens < 300
    assert whole.finish_reason is FinishReason.STOP
    assert whole.text == "ab" * 200


@pytest.mark.parametrize(
    ("task", "pattern"),
    [
        (Task.OCR, r"Chapter 1\.{100} 7"),
        (Task.OCR, r"Name_{120}"),
        (Task.TABLE, r"(<fcel>a<ecel><ecel><nl>){40}"),
    ],
)
def test_leaders_and_empty_rows_are_no_runaway(server: TritonServer, png: bytes, task: Task, pattern: str) -> None:
    with Client(server.grpc_url) as client:
        reading = client.read(png, task=task, regex=pattern, raw=True)
    assert reading.finish_reason is FinishReason.STOP
