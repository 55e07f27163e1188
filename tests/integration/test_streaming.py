"""`ocr_stream`: text as it is generated, over gRPC streams and `/generate_stream`."""

from __future__ import annotations

import base64
import json
from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import Any

import pytest
from tritonclient.utils import InferenceServerException

from ocrvl.launcher.server import TritonServer
from ocrvl.wire import FinishReason, Tensor
from ocrvl_client import Client
from perf.harness.tensors import image_tensors
from tests.support.streams import opened, post
from training.nano.world import World


def read(server: TritonServer, tensors: dict[Tensor, Any]) -> tuple[dict[int, str], dict[int, dict[Tensor, Any]]]:
    """The deltas of each image put together, and each image's last response."""
    pieces: dict[int, str] = {}
    last: dict[int, dict[Tensor, Any]] = {}
    with opened(server, tensors) as stream:
        for response in stream:
            index = int(response[Tensor.INDEX])
            assert index not in last, "something came after the last response of an image"
            pieces[index] = pieces.get(index, "") + response[Tensor.TEXT].decode()
            if Tensor.FINISH_REASON in response:
                last[index] = response
    return pieces, last


def test_deltas_add_up_to_what_the_unary_model_reads(server: TritonServer) -> None:
    world = World(Random(21))
    files = [world.line().png(), world.receipt(4).png(), world.line().png()]
    with Client(server.grpc_url) as client:
        unary = client.read_batch(files)
    pieces, last = read(server, image_tensors(*files))
    assert [pieces[index] for index in range(3)] == [reading.text for reading in unary]
    assert [last[index][Tensor.FULL_TEXT].decode() for index in range(3)] == [reading.text for reading in unary]
    assert [last[index][Tensor.NUM_OUTPUT_TOKENS] for index in range(3)] == [r.num_output_tokens for r in unary]
    assert {last[index][Tensor.FINISH_REASON] for index in range(3)} == {b"stop"}


def test_text_comes_in_several_pieces_before_the_end(server: TritonServer) -> None:
    with opened(server, image_tensors(World(Random(22)).receipt(6).png())) as stream:
        responses = list(stream)
    assert sum(Tensor.FINISH_REASON not in response for response in responses) > 10


def test_a_short_image_does_not_wait_for_a_long_one(server: TritonServer) -> None:
    world = World(Random(23))
    with opened(server, image_tensors(world.receipt(12).png(), world.line("Tea").png())) as stream:
        order = [int(response[Tensor.INDEX]) for response in stream if Tensor.FINISH_REASON in response]
    assert order == [1, 0]


def test_characters_are_never_cut(server: TritonServer, png: bytes) -> None:
    # each of these is several bytes, and no token holds a whole one
    with opened(server, image_tensors(png, regex="[€ßéàü漢🙂]{40}", max_tokens=400)) as stream:
        responses = list(stream)
    texts = [response[Tensor.TEXT].decode() for response in responses]
    assert "\ufffd" not in "".join(texts)
    assert "".join(texts) == responses[-1][Tensor.FULL_TEXT].decode()


def test_the_last_response_is_postprocessed_and_the_deltas_are_not(server: TritonServer, png: bytes) -> None:
    pieces, last = read(server, image_tensors(png, task="formula", regex=r"\\\(x\\\)"))
    assert pieces[0] == r"\(x\)"
    assert last[0][Tensor.FULL_TEXT].decode().split() == ["$", "x", "$"]


def test_an_image_that_fails_alone_has_its_last_response_too(server: TritonServer, png: bytes) -> None:
    _, last = read(server, image_tensors(b"no image", png, on_error="keep"))
    assert last[0][Tensor.FINISH_REASON].decode() == FinishReason.ERROR
    assert b"image 0" in last[0][Tensor.ERROR]
    assert last[1][Tensor.FINISH_REASON] == b"stop"


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        (image_tensors(b"no image"), r"\[INVALID_ARG\] image 0"),
        (image_tensors(b"x", max_token=3), r"\[INVALID_ARG\] options: unknown key 'max_token'"),
        (image_tensors(b"x", task="poem"), r"\[INVALID_ARG\] unknown task 'poem'"),
    ],
)
def test_bad_requests_are_told_with_their_code(server: TritonServer, tensors: dict[Tensor, Any], message: str) -> None:
    with opened(server, tensors) as stream, pytest.raises(InferenceServerException, match=message):
        list(stream)


def test_http_streams_the_same(server: TritonServer, png: bytes) -> None:
    body = {"image": base64.b64encode(png).decode(), "options": json.dumps({"max_tokens": 40})}
    with post(server, "ocr_stream/generate_stream", body) as answer:
        events = [json.loads(line.removeprefix(b"data: ")) for line in answer if line.startswith(b"data: ")]
    assert "".join(event["text"] for event in events) == "Soup of the day"
    assert [event["finish_reason"] for event in events if "finish_reason" in event] == ["stop"]


def test_http_callers_without_binary_tensors_are_answered_by_generate(server: TritonServer, png: bytes) -> None:
    with post(server, "ocr/generate", {"image": base64.b64encode(png).decode()}) as answer:
        assert json.load(answer)["text"] == "Soup of the day"


def test_every_stream_gets_its_own_text_under_load(server: TritonServer) -> None:
    world = World(Random(24))
    drawings = [world.line() for _ in range(24)]
    with Client(server.grpc_url) as client:
        expected = [reading.text for reading in client.read_batch([drawing.png() for drawing in drawings])]

    def stream(number: int) -> str:
        pieces, _ = read(server, image_tensors(drawings[number % 24].png()))
        return pieces[0]

    with ThreadPoolExecutor(40) as pool:
        found = list(pool.map(stream, range(160)))
    assert found == [expected[number % 24] for number in range(160)]
