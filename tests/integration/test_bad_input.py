"""Bad input over both protocols: a clear INVALID_ARG that names what is wrong, and the next caller is unharmed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tritonclient.utils import InferenceServerException

from ocrvl.launcher.server import TritonServer
from ocrvl.messages import encode_texts
from ocrvl.wire import Model, Tensor
from perf.harness.tensors import bytes_tensor
from tests.support import images
from tests.support.engine_inputs import changed, grids
from tests.support.raw import PROTOCOLS, infer

GOOD = images.encode(images.plain())
LARGE = images.encode(Image.new("L", (2600, 2600)))

BAD_REQUESTS: dict[str, tuple[dict[Tensor, Any], str]] = {
    "no images": ({Tensor.IMAGE: bytes_tensor()}, "0 images in one request, 1 to 64 are taken"),
    "too many images": ({Tensor.IMAGE: bytes_tensor(*[GOOD] * 65)}, "65 images in one request, 1 to 64 are taken"),
    "an unknown task": ({Tensor.TASK: bytes_tensor(b"poem")}, "unknown task 'poem' (known: ocr, table"),
    "a task that is not UTF-8": ({Tensor.TASK: bytes_tensor(b"\xff\xfe")}, "task 0: not UTF-8"),
    "more tasks than images": ({Tensor.TASK: bytes_tensor(b"ocr", b"table")}, "2 tasks for 1 images"),
    "options that are not JSON": ({Tensor.OPTIONS: bytes_tensor(b"{max_tokens: 3}")}, "options: not JSON"),
    "options that are not UTF-8": ({Tensor.OPTIONS: bytes_tensor(b'{"prompt": "\xff"}')}, "options: not UTF-8"),
    "options that are no object": ({Tensor.OPTIONS: bytes_tensor(b"[]")}, "options: expected a JSON object"),
    "an unknown key": ({Tensor.OPTIONS: bytes_tensor(b'{"beams": 3}')}, "options: unknown key 'beams'"),
    "a wrong type": (
        {Tensor.OPTIONS: bytes_tensor(b'{"max_tokens": "3"}')},
        "options: max_tokens: Input should be a valid",
    ),
    "an impossible value": (
        {Tensor.OPTIONS: bytes_tensor(b'{"top_p": 7}')},
        "options: top_p: Input should be less than",
    ),
    "more tokens than the model has room for": (
        {Tensor.OPTIONS: bytes_tensor(b'{"max_tokens": 100000}')},
        "image 0: options: max_tokens: 100000, the image leaves",
    ),
    "an image with more tokens than the model has room for": (
        {Tensor.IMAGE: bytes_tensor(LARGE), Tensor.OPTIONS: bytes_tensor(b'{"max_pixels": 7000000}')},
        "lower max_pixels",
    ),
    "an image that is enlarged beyond what the checkpoint reads": (
        {Tensor.OPTIONS: bytes_tensor(b'{"min_pixels": 6000000, "max_pixels": 7000000}')},
        "options: min_pixels (6000000): images are enlarged to",
    ),
    "a pattern that is none": ({Tensor.OPTIONS: bytes_tensor(b'{"regex": "(((["}')}, "options: "),
    "a schema that is none": ({Tensor.OPTIONS: bytes_tensor(b'{"json_schema": {"type": "poem"}}')}, "options: "),
    "a control token in the prompt": (
        {Tensor.OPTIONS: bytes_tensor(b'{"prompt": "<|IMAGE_PLACEHOLDER|>"}')},
        "options: prompt: it may not hold the control token",
    ),
}


@pytest.fixture(autouse=True)
def _others_are_unharmed(server: TritonServer) -> Iterator[None]:
    """After each bad request a good one is answered."""
    yield
    answer = infer(
        server, "grpc", {Tensor.IMAGE: bytes_tensor(GOOD), Tensor.OPTIONS: bytes_tensor(b'{"regex": "[0-9]{4}"}')}
    )
    assert len(answer[Tensor.TEXT].item()) == 4


def refused(error: InferenceServerException, protocol: str) -> str:
    """The message, once the status is the protocol's own for an invalid argument."""
    assert error.status() == {"grpc": "StatusCode.INVALID_ARGUMENT", "http": "400"}[protocol]
    message: str = error.message()
    assert "Traceback" not in message
    return message


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("kind", images.bad_files())
def test_a_bad_file_is_refused_with_the_reason(server: TritonServer, protocol: str, kind: str) -> None:
    data, reason = images.bad_files()[kind]
    with pytest.raises(InferenceServerException) as caught:
        infer(server, protocol, {Tensor.IMAGE: bytes_tensor(GOOD, data)})
    assert "[INVALID_ARG] image 1: it" in (message := refused(caught.value, protocol))
    assert reason in message


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("kind", BAD_REQUESTS)
def test_a_bad_request_is_refused_with_the_reason(server: TritonServer, protocol: str, kind: str) -> None:
    inputs, reason = BAD_REQUESTS[kind]
    with pytest.raises(InferenceServerException) as caught:
        infer(server, protocol, {Tensor.IMAGE: bytes_tensor(GOOD), **inputs})
    assert "[INVALID_ARG]" in (message := refused(caught.value, protocol))
    assert reason in message


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_bad_file_fails_alone_where_that_is_asked(server: TritonServer, protocol: str) -> None:
    inputs = {Tensor.IMAGE: bytes_tensor(b"", GOOD, b"x"), Tensor.OPTIONS: bytes_tensor(b'{"on_error": "keep"}')}
    answer = infer(server, protocol, inputs, (Tensor.TEXT, Tensor.ERROR, Tensor.FINISH_REASON))
    assert answer[Tensor.FINISH_REASON].tolist()[::2] == [b"error", b"error"]
    assert answer[Tensor.ERROR].tolist()[:2] == [b"[INVALID_ARG] image 0: it has no bytes", b""]
    alone = infer(server, protocol, {Tensor.IMAGE: bytes_tensor(GOOD)})
    assert answer[Tensor.TEXT].tolist() == [b"", alone[Tensor.TEXT].item(), b""]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_request_of_bad_files_alone_is_answered_where_that_is_asked(server: TritonServer, protocol: str) -> None:
    inputs = {Tensor.IMAGE: bytes_tensor(b"", b"x"), Tensor.OPTIONS: bytes_tensor(b'{"on_error": "keep"}')}
    assert all(infer(server, protocol, inputs, (Tensor.ERROR,))[Tensor.ERROR].tolist())


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_time_limit_ends_a_request(server: TritonServer, protocol: str) -> None:
    inputs = {
        Tensor.IMAGE: bytes_tensor(GOOD),
        Tensor.OPTIONS: bytes_tensor(b'{"timeout_ms": 50, "regex": "[a-z]{2000}"}'),
    }
    with pytest.raises(InferenceServerException, match=r"\[CANCELLED\] timeout_ms has passed") as caught:
        infer(server, protocol, inputs)
    # Triton 2.51 has no HTTP status for it; newer ones use 499
    assert caught.value.status() in {"grpc": ("StatusCode.CANCELLED",), "http": ("400", "499")}[protocol]


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    ("tensors", "reason"),
    [
        (changed(Tensor.PATCHES, lambda a: a[:, :-1]), "the grids have 16 patches, there are 15"),
        (changed(Tensor.GRID_THW, grids((1, 2, 4), (0, 0, 0), (1, -4, -2))), "grid_thw 2: (1, -4, -2) is no grid"),
        (changed(Tensor.TASKS, lambda _: encode_texts(["ocr", "ocr", "poem"])[None]), "unknown task 'poem'"),
        (changed(Tensor.CHECKED_OPTIONS, lambda _: encode_texts(["[]"])[None]), "expected a JSON object"),
    ],
)
def test_a_hostile_caller_of_the_engine_s_own_model_is_refused(
    server: TritonServer, protocol: str, tensors: dict[Tensor, Any], reason: str
) -> None:
    with pytest.raises(InferenceServerException) as caught:
        infer(server, protocol, tensors, model=Model.ENGINE)
    assert "[INVALID_ARG]" in (message := refused(caught.value, protocol))
    assert reason in message


def test_numbers_in_place_of_images_are_refused_by_triton(server: TritonServer) -> None:
    with pytest.raises(InferenceServerException, match="data-type is 'INT32', but model 'ocr' expects 'BYTES'"):
        infer(server, "grpc", {Tensor.IMAGE: np.zeros((1,), np.int32)})
