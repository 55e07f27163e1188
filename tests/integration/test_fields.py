"""`fields` on the shared server, called for itself: receipts of many shapes together, and what is refused."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import Any

import numpy as np
import pytest
from jsonschema import Draft202012Validator

from ocrvl.launcher.server import TritonServer
from ocrvl.messages import encode_texts
from ocrvl.models.words import Word
from ocrvl.schemas import RECEIPT, read_schema
from ocrvl.wire import Model, Tensor
from perf.harness.tensors import bytes_tensor
from tests.support.raw import PROTOCOLS, infer
from training.fields.world import DrawnReceipt, ReceiptWorld
from training.nano.phrases import BUILT_IN_WORDS
from training.nano.texts import Split


def tensors(receipt: DrawnReceipt, words: list[Word], *, with_pixels: bool = True) -> dict[Tensor, Any]:
    given = {
        Tensor.WORDS: encode_texts([word.text for word in words])[None],
        Tensor.BOX: np.array([[word.box for word in words]], np.float32).reshape(1, len(words), 4),
        Tensor.LINE: np.array([[word.line for word in words]], np.int32),
        Tensor.SIZE: np.array([receipt.image.size], np.int32),
    }
    return given | ({Tensor.PIXELS: np.asarray(receipt.image)[None]} if with_pixels else {})


def ask(server: TritonServer, protocol: str, inputs: dict[Tensor, Any]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        infer(server, protocol, inputs, (Tensor.JSON,), Model.FIELDS)[Tensor.JSON].item()
    )
    return found


def test_receipts_of_many_sizes_are_answered_together_and_each_for_itself(server: TritonServer) -> None:
    world = ReceiptWorld(Random(11), BUILT_IN_WORDS, Split.TRAINING)
    receipts = [world.receipt() for _ in range(16)]
    requests = [tensors(one, one.split_words(), with_pixels=index % 4 != 0) for index, one in enumerate(receipts)]
    requests[5] = requests[5] | {Tensor.LINE: np.zeros((1, 1), np.int32)}

    def send(index: int) -> dict[str, Any] | str:
        try:
            return ask(server, PROTOCOLS[index % 2], requests[index])
        except Exception as error:
            return str(error)

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(send, range(16)))
    assert "[INVALID_ARG] line: 1 for " in str(answers.pop(5))
    del receipts[5]
    validator = Draft202012Validator(read_schema(RECEIPT))
    totals = []
    for receipt, answer in zip(receipts, answers, strict=True):
        validator.validate(answer)
        assert isinstance(answer, dict)
        assert (answer["width"], answer["height"]) == receipt.image.size
        totals.append(answer["fields"]["total"] and answer["fields"]["total"]["value"] == receipt.truth.values["total"])
    assert sum(map(bool, totals)) >= 13


def test_a_receipt_may_have_no_words_and_that_is_said(server: TritonServer) -> None:
    receipt = ReceiptWorld(Random(12), BUILT_IN_WORDS, Split.TRAINING).receipt()
    answer = ask(server, "grpc", tensors(receipt, []))
    assert answer["fields"]["total"] is None
    assert answer["warnings"] == ["there are no words to find fields among"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({Tensor.WORDS: bytes_tensor(b"\xff")[None], Tensor.LINE: np.zeros((1, 1), np.int32)}, "words 0: not UTF-8"),
        ({Tensor.BOX: np.full((1, 2, 4), np.nan, np.float32)}, "box: shape"),
        ({Tensor.SIZE: np.array([[0, 0]], np.int32)}, "size: 0x0"),
    ],
)
def test_what_is_wrong_with_a_request_is_named(server: TritonServer, change: dict[Tensor, Any], message: str) -> None:
    receipt = ReceiptWorld(Random(13), BUILT_IN_WORDS, Split.TRAINING).receipt()
    with pytest.raises(Exception, match=rf"\[INVALID_ARG\] {message}"):
        ask(server, "grpc", tensors(receipt, list(receipt.words), with_pixels=False) | change)
