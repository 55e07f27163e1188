"""What `/metrics` and the log say, on the real server."""

from __future__ import annotations

import time
import urllib.request

import pytest
import tritonclient.grpc as triton_grpc
from tritonclient.utils import InferenceServerException

from ocrvl.launcher.server import TritonServer
from ocrvl.metrics.allow import VLLM_FAMILIES
from ocrvl.wire import Model, Tensor
from ocrvl_client import Client, InvalidRequest
from perf.harness.tensors import bytes_tensor, encode_inputs, image_tensors
from tests.support.streams import metric, wait_for


def test_every_process_has_a_heartbeat(server: TritonServer) -> None:
    replicas = ["paddleocr_vl_0_0", "preprocess_0_0", "preprocess_0_1", "ocr_stream_0_0", "cancel_0_0"]
    for replica in replicas:
        before = metric(server, "ocrvl_heartbeat_timestamp_seconds", replica=replica)
        assert before > 0, replica
        wait_for(lambda r=replica, b=before: metric(server, "ocrvl_heartbeat_timestamp_seconds", replica=r) > b, 5)  # type: ignore[misc]


def test_the_engine_s_own_series_are_there_by_their_own_names(server: TritonServer, png: bytes) -> None:
    with Client(server.grpc_url) as client:
        client.read(png)
    with urllib.request.urlopen(f"http://127.0.0.1:{server.metrics_port}/metrics") as answer:
        text = answer.read().decode()
    assert {name for name in VLLM_FAMILIES if name not in text} == set()


def test_requests_images_and_tokens_are_counted(server: TritonServer, png: bytes) -> None:
    names = [
        ("ocrvl_requests_total", {"outcome": "ok"}),
        ("ocrvl_images_total", {}),
        ("ocrvl_preprocess_images_total", {}),
        ("ocrvl_preprocess_seconds_count", {"stage": "decode"}),
        ("vllm:generation_tokens_total", {}),
        ("vllm:time_to_first_token_seconds_count", {}),
    ]

    def values() -> list[float]:
        return [metric(server, name, **labels) for name, labels in names]

    # what earlier requests counted is published by then
    time.sleep(2)
    before = values()
    with Client(server.grpc_url) as client:
        readings = client.read_batch([png] * 3)
    tokens = sum(reading.num_output_tokens for reading in readings)
    wait_for(lambda: values()[0] > before[0])
    # the processes publish one after another
    time.sleep(2)
    assert [new - old for new, old in zip(values(), before, strict=True)] == [1, 3, 3, 3, tokens, 3]


def test_refusals_are_counted_by_reason(server: TritonServer) -> None:
    time.sleep(2)
    before = metric(server, "ocrvl_refusals_total", reason="invalid")
    with Client(server.grpc_url) as client, pytest.raises(InvalidRequest):
        client.read(b"no image")
    wait_for(lambda: metric(server, "ocrvl_refusals_total", reason="invalid") == before + 1, 5)


def test_a_request_that_is_refused_has_one_line_in_the_log_and_cannot_forge_another(
    server: TritonServer, server_log: list[str]
) -> None:
    with triton_grpc.InferenceServerClient(server.grpc_url) as client:
        for model, tensors in (
            (Model.OCR, image_tensors(b"none")),
            (Model.DOCUMENT, {Tensor.FILE: bytes_tensor(b"none")}),
        ):
            with pytest.raises(InferenceServerException):
                client.infer(model.value, encode_inputs(tensors), request_id=f"bad {model}\nrequest request_id=forged")

    def lines() -> list[str]:
        return [line for line in server_log if "request_id=forged" in line]

    wait_for(lambda: len(lines()) >= 2, 5)
    # the break is written as an escape, so each stays in one line with its outcome
    assert len(lines()) == 2
    for model in (Model.OCR, Model.DOCUMENT):
        (line,) = (line for line in lines() if f"bad {model}\\" in line)
        assert line.index("forged") < line.index("outcome=invalid")


def test_a_request_has_one_line_in_the_log_with_its_id_and_trace(
    server: TritonServer, server_log: list[str], png: bytes
) -> None:
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    with triton_grpc.InferenceServerClient(server.grpc_url) as client:
        client.infer(
            Model.OCR.value, encode_inputs(image_tensors(png)), request_id="invoice 7", headers={"traceparent": trace}
        )

    def lines() -> list[str]:
        return [line for line in server_log if "invoice 7" in line]

    wait_for(lambda: bool(lines()), 5)
    (line,) = lines()
    assert "outcome=ok images=1" in line
    assert f"traceparent={trace}" in line


def test_a_document_has_one_line_in_the_log_whatever_its_blocks(
    server: TritonServer, server_log: list[str], png: bytes
) -> None:
    with triton_grpc.InferenceServerClient(server.grpc_url) as client:
        client.infer(Model.DOCUMENT.value, encode_inputs({Tensor.FILE: bytes_tensor(png)}), request_id="report 7")

    def lines() -> list[str]:
        return [line for line in server_log if "report 7" in line]

    wait_for(lambda: bool(lines()), 5)
    # the lines of its blocks would have come before
    (line,) = lines()
    assert "document request_id" in line
    assert "outcome=ok pages=1" in line
