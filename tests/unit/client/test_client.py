"""`ocrvl_client.Client`: requests built and answers read without a network, and what is abandoned cancelled."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ocrvl_client
from ocrvl.wire import FinishReason, Model, Task, Tensor
from ocrvl_client import (
    Client,
    InvalidRequest,
    OcrvlError,
    Reading,
    RequestTimeout,
    Retry,
    ServerError,
    ServerUnavailable,
    Spot,
)
from ocrvl_client._messages import Array, Request
from tests.support.transports import RecordingTransport, failing, options_of, readings, texts


def test_a_request_carries_the_images_tasks_and_options(tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    file.write_bytes(b"file")
    transport = RecordingTransport()
    with Client(transport=transport) as client:
        client.read_batch([b"bytes", file, str(file)], task=[Task.OCR, "table", Task.SEAL], max_tokens=5)
    (request,) = transport.sent
    assert request.model is Model.OCR
    assert request.inputs[Tensor.IMAGE].tolist() == [b"bytes", b"file", b"file"]
    assert request.inputs[Tensor.TASK].tolist() == [b"ocr", b"table", b"seal"]
    assert options_of(request) == {"max_tokens": 5, "cancel_token": request.token}


def test_a_caller_s_own_token_is_kept() -> None:
    transport = RecordingTransport()
    Client(transport=transport).read(b"x", cancel_token="0123456789abcdef")
    assert transport.sent[0].token == options_of(transport.sent[0])["cancel_token"] == "0123456789abcdef"


@pytest.mark.parametrize("token", ["", None, 7])
def test_a_token_that_is_none_is_left_to_the_server_to_refuse(token: Any) -> None:
    transport = RecordingTransport()
    Client(transport=transport).read(b"x", cancel_token=token)
    assert options_of(transport.sent[0])["cancel_token"] == token


def test_an_answer_is_one_reading_an_image() -> None:
    first, second = Client(transport=RecordingTransport()).read_batch([b"a", b"b"])
    assert second == Reading("text of b", FinishReason.STOP, 7, 3, "", "warning 1")
    assert first.error == "image 0: bad"


def test_a_reading_says_how_long_it_took() -> None:
    def answer(request: Request) -> dict[Tensor, Array]:
        time.sleep(0.02)
        return readings(request)

    assert Client(transport=RecordingTransport(answer)).read(b"a").seconds >= 0.02


@pytest.mark.parametrize("count", [0, 65])
def test_too_many_or_no_images_need_no_server_to_be_refused(count: int) -> None:
    with pytest.raises(InvalidRequest, match=f"{count} images in one request"):
        Client(transport=RecordingTransport()).read_batch([b"x"] * count)


def test_a_file_that_is_not_found_is_named() -> None:
    with pytest.raises(InvalidRequest, match=r"no/such\.png: No such file"):
        Client(transport=RecordingTransport()).read("no/such.png")


def test_options_that_are_no_json_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="options: "):
        Client(transport=RecordingTransport()).read(b"x", stop=[b"bytes"])  # type: ignore[list-item]


def test_a_type_checker_refuses_an_unknown_option_which_the_server_decides_about() -> None:
    transport = RecordingTransport()
    with Client(transport=transport) as client:
        # mypy fails where it lets one of these through: an ignore that nothing needs is an error
        client.read(b"x", colour="red")  # type: ignore[call-arg]
        client.read(b"x", max_tokens="7")  # type: ignore[arg-type]
    assert [options_of(request) | {"cancel_token": ""} for request in transport.sent] == [
        {"cancel_token": "", "colour": "red"},
        {"cancel_token": "", "max_tokens": "7"},
    ]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"url": "http://localhost:8000"}, "without a scheme"),
        ({"url": "localhost"}, "expected host and port without a scheme, such as localhost:8001"),
        ({"url": []}, "at least one server"),
        ({"protocol": "smtp"}, "expected 'grpc' or 'http'"),
        ({"timeout": 0}, "seconds above 0"),
        ({"concurrency": 0}, "at least 1"),
    ],
)
def test_a_client_of_no_server_is_refused(arguments: dict[str, Any], reason: str) -> None:
    with pytest.raises(InvalidRequest, match=reason):
        Client(**arguments)


def test_a_request_that_may_take_no_time_is_refused_not_given_the_default() -> None:
    transport = RecordingTransport()
    client = Client(transport=transport)
    for ask in (client.read, client.document, lambda file, timeout: list(client.stream(file, timeout=timeout))):
        with pytest.raises(InvalidRequest, match="seconds above 0"):
            ask(b"x", timeout=0)
    assert not transport.sent


def test_the_text_of_a_stream_comes_in_pieces_and_then_whole() -> None:
    def answers(request: Request) -> list[dict[Tensor, Array]]:
        assert request.model is Model.STREAM
        piece = {Tensor.INDEX: np.array([0], np.int32)}
        last = readings(request) | {Tensor.FULL_TEXT: texts("Soup!"), Tensor.TEXT: texts("")}
        return [piece | {Tensor.TEXT: texts(text)} for text in ("So", "", "up")] + [piece | last]

    transport = RecordingTransport(answers=answers)
    assert list(Client(transport=transport).stream(b"x")) == [
        *("So", "up"),
        Reading("Soup!", FinishReason.STOP, 7, 3, "", "warning 0"),
    ]


def test_a_stream_that_is_closed_is_closed_below() -> None:
    transport = RecordingTransport(answers=lambda _: [{Tensor.TEXT: texts("a")}] * 3)
    stream = Client(transport=transport).stream(b"x")
    assert next(stream) == "a"
    stream.close()
    assert transport.closed_streams == 1


def test_spots_and_rows_are_read_from_the_text() -> None:
    spotted = Reading('{"rec_texts": ["Tea"], "rec_polys": [[[1, 2], [3, 4]]]}', FinishReason.STOP, 1, 1)
    assert spotted.spots == [Spot("Tea", ((1.0, 2.0), (3.0, 4.0)))]
    table = Reading(
        '<table><tr><td rowspan="2">Tea</td><td>green</td></tr><tr><td>black</td></tr></table>', FinishReason.STOP, 1, 1
    )
    assert table.rows == [["Tea", "green"], ["Tea", "black"]]
    plain = Reading("Tea", FinishReason.STOP, 1, 1)
    assert (plain.spots, plain.rows) == ([], [])


def test_a_request_is_sent_again_under_an_id_of_its_own() -> None:
    transport = RecordingTransport(failing(ServerUnavailable("full")))
    client = Client(transport=transport, retry=Retry(initial=0))
    assert client.read(b"x").num_output_tokens == 3
    assert len({request.id for request in transport.sent}) == 2
    assert len({request.token for request in transport.sent}) == 1


def test_without_a_retry_a_request_is_sent_once() -> None:
    transport = RecordingTransport(failing(ServerUnavailable("full")))
    with pytest.raises(ServerUnavailable, match="full"):
        Client(transport=transport, retry=None).read(b"x")
    assert len(transport.sent) == 1


@pytest.mark.parametrize("abandoned", [RequestTimeout("late"), KeyboardInterrupt()])
def test_an_abandoned_request_is_cancelled_in_the_engine(abandoned: BaseException) -> None:
    transport = RecordingTransport(failing(abandoned))
    with pytest.raises(type(abandoned)):
        Client(transport=transport).read(b"x")
    assert transport.cancelled == [transport.sent[0].token]


@pytest.mark.parametrize("failure", [InvalidRequest("bad"), ServerError("id 7"), ServerUnavailable("full")])
def test_what_the_server_has_ended_is_not_ended_again(failure: OcrvlError) -> None:
    transport = RecordingTransport(failing(failure))
    with pytest.raises(type(failure)):
        Client(transport=transport, retry=None).read(b"x")
    assert transport.cancelled == []


def test_a_cancel_says_how_many_it_ended() -> None:
    assert Client(transport=RecordingTransport()).cancel("0123456789abcdef") == 1


def test_every_public_name_is_there() -> None:
    assert all(hasattr(ocrvl_client, name) for name in ocrvl_client.__all__)
    assert not hasattr(ocrvl_client, "Nothing")
