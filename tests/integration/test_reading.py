"""Good requests over both protocols, on the real server with the real engine."""

from __future__ import annotations

import io
import json
import urllib.request
from concurrent.futures import ThreadPoolExecutor, wait
from random import Random

import pytest
import tritonclient.grpc as triton_grpc
from PIL import Image

from ocrvl.checkpoint import nano_path
from ocrvl.imaging.decode import ImageLimits
from ocrvl.imaging.grid import PixelGrid
from ocrvl.launcher.server import TritonServer
from ocrvl.models.preprocess.pipeline import Preprocessor
from ocrvl.options import Options
from ocrvl.wire import FinishReason, Model, Task, Tensor
from ocrvl_client import Client, InvalidRequest
from perf.harness.tensors import encode_inputs
from tests.support import images
from tests.support.raw import PROTOCOLS
from training.common.measure import character_score
from training.nano.world import World


def client(server: TritonServer, protocol: str) -> Client:
    return Client(server.grpc_url) if protocol == "grpc" else Client(server.http_url, protocol="http")


def test_the_engine_encodes_all_images_of_a_step_together(server: TritonServer, server_log: list[str]) -> None:
    assert server.pid
    assert any("all images of a step are encoded together" in line for line in server_log)
    assert [line for line in server_log if "one by one" in line] == []


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_printed_lines_are_read(server: TritonServer, protocol: str) -> None:
    world = World(Random(11))
    drawings = [world.line() for _ in range(16)]
    with client(server, protocol) as connection:
        readings = connection.read_batch([drawing.png() for drawing in drawings])
    assert character_score([reading.text for reading in readings], [drawing.text for drawing in drawings]) > 0.9


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_receipt_is_read(server: TritonServer, protocol: str) -> None:
    drawing = World(Random(12)).receipt(6)
    with client(server, protocol) as connection:
        reading = connection.read(drawing.png())
    assert reading.finish_reason is FinishReason.STOP
    assert character_score([reading.text], [drawing.text]) > 0.8


def test_several_images_in_one_request_are_answered_in_their_order(server: TritonServer) -> None:
    world = World(Random(13))
    files = [world.line().png() if index % 3 else world.receipt(4).png() for index in range(12)]
    with client(server, "grpc") as connection:
        together = connection.read_batch(files)
        alone = [connection.read(file) for file in files]
    assert [reading.text for reading in together] == [reading.text for reading in alone]
    assert [reading.num_input_tokens for reading in together] == [reading.num_input_tokens for reading in alone]


def test_both_protocols_read_the_same(server: TritonServer) -> None:
    files = [World(Random(seed)).line().png() for seed in range(5)]
    with client(server, "grpc") as grpc, client(server, "http") as http:
        assert grpc.read_batch(files) == http.read_batch(files)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("kind", images.lossless_files())
def test_every_kind_of_file_reads_the_same(server: TritonServer, protocol: str, kind: str) -> None:
    with client(server, protocol) as connection:
        expected = connection.read(images.encode(images.plain()))
        assert connection.read(images.lossless_files()[kind]) == expected


@pytest.mark.parametrize("kind", images.multi_frame_files())
def test_a_file_of_several_frames_is_read_with_a_warning(server: TritonServer, kind: str) -> None:
    with client(server, "grpc") as connection:
        reading = connection.read(images.multi_frame_files()[kind])
        assert reading.text == connection.read(images.encode(images.plain())).text
    assert reading.warning == "the first of its 3 frames was read"


@pytest.mark.parametrize("kind", images.tiny_files())
def test_tiny_crops_are_read(server: TritonServer, kind: str) -> None:
    with client(server, "http") as connection:
        reading = connection.read(images.tiny_files()[kind], max_tokens=20)
    assert reading.finish_reason in (FinishReason.STOP, FinishReason.LENGTH)


def test_json_callers_without_a_client_send_base64_text(server: TritonServer) -> None:
    body = {
        "inputs": [
            {
                "name": "image",
                "shape": [1],
                "datatype": "BYTES",
                "data": [images.lossless_files()["base64 text"].decode()],
            }
        ]
    }
    request = urllib.request.Request(f"http://{server.http_url}/v2/models/ocr/infer", json.dumps(body).encode())
    with urllib.request.urlopen(request) as answer:
        outputs = {output["name"]: output["data"] for output in json.load(answer)["outputs"]}
    with client(server, "http") as connection:
        assert outputs["text"] == [connection.read(images.encode(images.plain())).text]
    assert outputs["finish_reason"] == ["stop"]


def test_options_reach_the_engine(server: TritonServer, png: bytes) -> None:
    with client(server, "grpc") as connection:
        whole = connection.read(png)
        short = connection.read(png, max_tokens=2)
        forced = connection.read(png, regex="[0-9]{5}")
        stopped = connection.read(png, stop=["the"])
        # of noise the model is not sure, so sampling shows
        noise = images.encode(Image.effect_noise((280, 84), 200))
        sampled = [connection.read(noise, temperature=2.0, seed=seed, max_tokens=30).text for seed in (1, 1, 2, 3, 4)]
    assert (short.finish_reason, short.num_output_tokens) == (FinishReason.LENGTH, 2)
    assert whole.text.startswith(short.text)
    assert len(forced.text) == 5
    assert forced.text.isdigit()
    assert whole.text == "Soup of the day"
    assert stopped.text == "Soup of "
    assert sampled[0] == sampled[1]
    assert len(set(sampled)) > 1


def test_every_task_is_taken(server: TritonServer, png: bytes) -> None:
    with client(server, "grpc") as connection:
        tasks = ["ocr", "table", "formula", "chart", "seal", "spotting"]
        readings = connection.read_batch([png] * 6, task=tasks, max_tokens=64)
    assert [reading.error for reading in readings] == [""] * 6
    assert set(json.loads(readings[5].text)) == {"rec_polys", "rec_texts"}


def test_a_thousand_small_requests_leave_the_server_whole(server: TritonServer) -> None:
    world = World(Random(17))
    files = [world.line("ab", (56, 28)).png() for _ in range(20)]

    def send(number: int) -> str:
        try:
            if number % 10 == 0:
                return connection.read(b"hello").text
            images_of_one = [files[(number + offset) % 20] for offset in range(1 + number % 3)]
            return str(len(connection.read_batch(images_of_one, max_tokens=1)))
        except InvalidRequest as error:
            return str(error)

    with ThreadPoolExecutor(32) as threads, client(server, "grpc") as connection:
        answers = list(threads.map(send, range(1000)))
        assert connection.is_ready()
    assert all("not an image" in answer for answer in answers[::10])
    assert all(answer == str(1 + number % 3) for number, answer in enumerate(answers) if number % 10)


def test_every_caller_gets_its_own_text_under_load(server: TritonServer) -> None:
    world = World(Random(19))
    files = [world.line().png() for _ in range(40)]
    with ThreadPoolExecutor(24) as threads, client(server, "grpc") as connection:
        alone = [connection.read(file) for file in files]
        pairs = [(number % 40, number * 7 % 40) for number in range(400)]
        together = threads.map(lambda pair: connection.read_batch([files[index] for index in pair]), pairs)
        for pair, readings in zip(pairs, together, strict=True):
            assert readings == [alone[index] for index in pair]


@pytest.mark.parametrize(("before", "letters"), [(1, 3000), (24, 1000)])
def test_short_requests_finish_before_long_ones_that_came_first(
    server: TritonServer, png: bytes, before: int, letters: int
) -> None:
    pattern = f"[a-z]{{{letters}}}"
    with ThreadPoolExecutor(before + 24) as threads, client(server, "grpc") as connection:
        long = [threads.submit(connection.read, png, regex=pattern, stop_repetition=False) for _ in range(before)]
        wait(long, timeout=1.0)
        short = [threads.submit(connection.read, png, max_tokens=5) for _ in range(24)]
        for future in short:
            future.result(timeout=120)
        assert not any(future.done() for future in long)
        assert {len(future.result(timeout=200).text) for future in long} == {letters}


@pytest.mark.parametrize("enlarged", [0.9, 1.5, 2.5, 5.0])
def test_what_is_decoded_and_resized_quickly_has_the_same_texts(server: TritonServer, enlarged: float) -> None:
    drawings = [World(Random(number)).receipt(6) for number in range(12)]
    files = [_enlarged_jpeg(drawing.image, enlarged) for drawing in drawings]
    grid = PixelGrid.from_checkpoint(nano_path())
    texts = []
    with triton_grpc.InferenceServerClient(server.grpc_url) as connection:
        for quick in (False, True):
            preprocessor = Preprocessor(grid, ImageLimits(), scaled_jpeg=quick, exact_resize=not quick)
            packed = preprocessor.preprocess(files, [Task.OCR], Options(max_pixels=110_000))
            answer = connection.infer(Model.ENGINE.value, encode_inputs(packed.encode_tensors()))
            texts.append([text.decode() for text in answer.as_numpy(Tensor.TEXT.value).ravel()])
    assert texts[0] == texts[1]
    assert character_score(texts[1], [drawing.text for drawing in drawings]) > 0.8


def _enlarged_jpeg(image: Image.Image, factor: float) -> bytes:
    """As a scanner of a higher resolution would have sent it."""
    file = io.BytesIO()
    size = round(image.width * factor), round(image.height * factor)
    image.resize(size, Image.Resampling.BICUBIC).save(file, "JPEG", quality=85)
    return file.getvalue()
