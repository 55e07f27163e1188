"""`ocrvl.models.receipt.bls`: what is asked of `ocr` and of `fields`, and what becomes of their answers."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ocrvl.errors import Unavailable
from ocrvl.messages import Array, encode_texts
from ocrvl.models.fair_limiter import FairLimiter
from ocrvl.models.receipt.bls import GROUP, BlsModels
from ocrvl.models.receipt.lines import Line
from ocrvl.models.receipt.options import ReceiptOptions
from ocrvl.models.words import Word
from ocrvl.wire import PART_PARAMETER, FinishReason, Model, Task, Tensor

TOKEN = "0123456789abcdef"


class Server:
    """Reads in each image how wide it is, as `ocr` does it, and hands the words back, as `fields` does it."""

    def __init__(self) -> None:
        self.calls: list[tuple[Model, Mapping[Tensor, Array]]] = []
        self.error = ""
        self.text: str | None = None
        self.ended: list[str] = []

    async def call_model(
        self,
        call: Any,
        model: Model,
        inputs: Mapping[Tensor, Array] | None,
        outputs: Sequence[Tensor],
        parameters: Mapping[str, str | bool],
    ) -> Callable[[Tensor], Array]:
        assert inputs is not None
        assert parameters == {PART_PARAMETER: True}
        self.calls.append((model, inputs))
        await asyncio.sleep(0)
        if model is Model.FIELDS:
            words = [word.decode() for word in inputs[Tensor.WORDS].ravel().tolist()]
            return {Tensor.JSON: encode_texts([json.dumps({"fields": words})])[None]}.__getitem__
        texts = [self.text or f" {Image.open(io.BytesIO(file)).width} " for file in inputs[Tensor.IMAGE].tolist()]
        answer = {
            Tensor.TEXT: encode_texts(texts)[None],
            Tensor.FINISH_REASON: encode_texts(["stop"] * len(texts))[None],
            Tensor.ERROR: encode_texts([self.error] * len(texts))[None],
        }
        return answer.__getitem__

    async def cancel(self, token: str) -> int:
        self.ended.append(token)
        return 1


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def models(server: Server) -> BlsModels:
    channel: Any = server
    return BlsModels(server.call_model, channel, FairLimiter(3 * GROUP), 4)


def read(models: BlsModels, count: int, **options: Any) -> list[Line]:
    crops = [np.zeros((20, 10 + number, 3), np.uint8) for number in range(count)]
    boxes = [(0.0, number, 9.0, number + 1.0) for number in range(count)]
    return asyncio.run(models.read_lines(crops, boxes, ReceiptOptions(**options), TOKEN, object()))  # type: ignore[arg-type]


def test_lines_are_read_in_groups_and_stay_in_their_order(server: Server, models: BlsModels) -> None:
    lines = read(models, 2 * GROUP + 3, max_tokens=40)
    assert lines == [Line(str(10 + number), (0, number, 9, number + 1)) for number in range(2 * GROUP + 3)]
    assert sorted(inputs[Tensor.IMAGE].size for _, inputs in server.calls) == [3, GROUP, GROUP]
    model, inputs = server.calls[0]
    assert (model, inputs[Tensor.TASK].tolist()) == (Model.OCR, [b"ocr"])
    assert json.loads(inputs[Tensor.OPTIONS].item()) == {"max_tokens": 40, "on_error": "keep", "cancel_token": TOKEN}
    assert models.lines_in_flight == 0


def test_lines_keep_their_pixels(server: Server, models: BlsModels) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (21, 33, 3)).astype(np.uint8)
    crops = [pixels[:, 1:]]
    asyncio.run(models.read_lines(crops, [(0, 0, 1, 1)], ReceiptOptions(), TOKEN, object()))  # type: ignore[arg-type]
    sent = server.calls[0][1][Tensor.IMAGE].item()
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(sent))), crops[0])


def test_a_line_that_cannot_be_read_has_its_error_and_one_that_the_engine_left_fails(
    server: Server, models: BlsModels
) -> None:
    server.error = "[INVALID_ARG] image 0: its aspect ratio is 300"
    assert [line.error for line in read(models, 2)] == [server.error] * 2
    server.error = "[UNAVAILABLE] image 0: the engine has stopped"
    with pytest.raises(Unavailable, match="the engine has stopped"):
        read(models, 2)


def test_the_engine_spots_lines_by_itself(server: Server, models: BlsModels) -> None:
    server.text = json.dumps({"rec_texts": ["Tea "], "rec_polys": [[[1, 2], [9, 2], [9, 5], [1, 5]]]})
    call: Any = object()
    lines = asyncio.run(models.spot(b"file", (20, 10), ReceiptOptions(), TOKEN, call))
    assert lines == [Line("Tea", (1, 2, 9, 5), FinishReason.STOP)]
    ((model, inputs),) = server.calls
    assert (model, inputs[Tensor.IMAGE].tolist()) == (Model.OCR, [b"file"])
    assert inputs[Tensor.TASK].tolist() == [Task.SPOTTING.value.encode()]
    assert json.loads(inputs[Tensor.OPTIONS].item()) == {"cancel_token": TOKEN}


@pytest.mark.parametrize("words", [[Word("Tea", (1, 2, 3, 4), 0), Word("2.50", (5, 6, 7, 8), 1)], []])
def test_fields_is_asked_about_all_words_at_once(server: Server, models: BlsModels, words: list[Word]) -> None:
    call: Any = object()
    pixels = np.zeros((30, 20, 3), np.uint8)
    found = asyncio.run(models.find_fields(words, pixels, (200, 300), call))
    assert found == {"fields": [word.text for word in words]}
    ((model, inputs),) = server.calls
    assert model is Model.FIELDS
    assert {name: array.shape for name, array in inputs.items()} == {
        Tensor.WORDS: (1, len(words)),
        Tensor.BOX: (1, len(words), 4),
        Tensor.LINE: (1, len(words)),
        Tensor.PIXELS: (1, 30, 20, 3),
        Tensor.SIZE: (1, 2),
    }
    assert inputs[Tensor.SIZE].tolist() == [[200, 300]]


def test_what_is_ended_is_ended_in_the_engines(server: Server, models: BlsModels) -> None:
    asyncio.run(models.end(TOKEN))
    assert server.ended == [TOKEN]
