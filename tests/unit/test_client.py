"""`ocrvl_client`: requests built and answers read without a network, errors told apart."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ocrvl_client
from ocrvl.wire import ErrorCode, FinishReason, Model, Task, Tensor, tag_message
from ocrvl_client import (
    Client,
    InvalidRequest,
    OcrvlError,
    Reading,
    RequestCancelled,
    RequestTimeout,
    Retry,
    ServerError,
    ServerUnavailable,
)
from ocrvl_client._errors import error_from_server


class RecordingTransport:
    """Keeps what it is sent and answers with one reading a picture, after the given failures."""

    def __init__(self, *failures: OcrvlError) -> None:
        self.failures = list(failures)
        self.request_ids: list[str] = []
        self.sent: dict[Tensor, Any] = {}

    def infer(
        self, model: Model, inputs: Mapping[Tensor, Any], outputs: Sequence[Tensor], request_id: str, timeout: float
    ) -> dict[Tensor, Any]:
        assert model is Model.OCR
        self.request_ids.append(request_id)
        if self.failures:
            raise self.failures.pop(0)
        assert request_id
        self.sent = dict(inputs)
        count = len(inputs[Tensor.IMAGE])
        texts = {name: np.array([f"{name} {index}".encode() for index in range(count)], object) for name in outputs}
        return texts | {
            Tensor.FINISH_REASON: np.array([b"stop"] * count, object),
            Tensor.NUM_INPUT_TOKENS: np.full(count, 7, np.int32),
            Tensor.NUM_OUTPUT_TOKENS: np.full(count, 3, np.int32),
            Tensor.ERROR: np.array([b"[INVALID_ARG] picture 0: bad"] + [b""] * (count - 1), object),
        }

    def is_ready(self) -> bool:
        return True

    def close(self) -> None:
        pass


def test_a_request_is_what_was_asked_for(tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    file.write_bytes(b"file")
    transport = RecordingTransport()
    with Client(transport=transport) as client:
        client.read_batch([b"bytes", file, str(file)], task=[Task.OCR, "table", Task.SEAL], max_tokens=5)
    assert transport.sent[Tensor.IMAGE].tolist() == [b"bytes", b"file", b"file"]
    assert transport.sent[Tensor.TASK].tolist() == [b"ocr", b"table", b"seal"]
    assert transport.sent[Tensor.OPTIONS].tolist() == [b'{"max_tokens": 5}']


def test_an_answer_is_one_reading_a_picture() -> None:
    first, second = Client(transport=RecordingTransport()).read_batch([b"a", b"b"])
    assert second == Reading("text 1", FinishReason.STOP, 7, 3, "", "warning 1")
    assert first.error == "picture 0: bad"


@pytest.mark.parametrize("count", [0, 65])
def test_too_many_or_no_pictures_need_no_server_to_be_refused(count: int) -> None:
    with pytest.raises(InvalidRequest, match=f"{count} pictures in one request"):
        Client(transport=RecordingTransport()).read_batch([b"x"] * count)


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(InvalidRequest, match=r"no/such\.png: No such file"):
        Client(transport=RecordingTransport()).read("no/such.png")


def test_options_that_are_no_json_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="options: "):
        Client(transport=RecordingTransport()).read(b"x", stop=[b"bytes"])


def test_a_url_with_a_scheme_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="host and port are wanted"):
        Client("http://localhost:8000", protocol="http")


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (ErrorCode.INVALID_ARG, InvalidRequest),
        (ErrorCode.UNAVAILABLE, ServerUnavailable),
        (ErrorCode.CANCELLED, RequestCancelled),
        (ErrorCode.INTERNAL, ServerError),
    ],
)
def test_our_tag_decides_whatever_the_status_says(code: ErrorCode, expected: type[OcrvlError]) -> None:
    error = error_from_server(f"in ensemble 'ocr', {tag_message(code, 'why')}", "StatusCode.INTERNAL")
    assert type(error) is expected
    assert str(error) == "why"


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("StatusCode.INVALID_ARGUMENT", InvalidRequest),
        ("StatusCode.NOT_FOUND", InvalidRequest),
        ("StatusCode.UNAVAILABLE", ServerUnavailable),
        ("StatusCode.DEADLINE_EXCEEDED", RequestTimeout),
        ("StatusCode.CANCELLED", RequestCancelled),
        ("StatusCode.INTERNAL", ServerError),
        ("400", InvalidRequest),
        ("499", RequestCancelled),
        ("503", ServerUnavailable),
        ("500", ServerError),
        (None, ServerError),
    ],
)
def test_without_a_tag_the_status_decides(status: str | None, expected: type[OcrvlError]) -> None:
    assert type(error_from_server("why", status)) is expected


def test_a_request_is_sent_again_under_an_id_of_its_own() -> None:
    transport = RecordingTransport(ServerUnavailable("full"))
    client = Client(transport=transport, retry=Retry(initial=0))
    assert client.read(b"x").num_output_tokens == 3
    assert len(set(transport.request_ids)) == 2


def test_without_a_retry_a_request_is_sent_once() -> None:
    transport = RecordingTransport(ServerUnavailable("full"))
    with pytest.raises(ServerUnavailable, match="full"):
        Client(transport=transport, retry=None).read(b"x")
    assert len(transport.request_ids) == 1


def test_what_needs_no_server_is_imported_without_grpc() -> None:
    code = "import sys, ocrvl_client.cli; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"numpy", "grpc", "gevent", "tritonclient", "pydantic", "vllm"} & set(done.stdout.split())


def test_every_public_name_is_there() -> None:
    assert all(hasattr(ocrvl_client, name) for name in ocrvl_client.__all__)
    assert not hasattr(ocrvl_client, "Nothing")
