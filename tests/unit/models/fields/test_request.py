"""What a request of `fields` may be, and what is said of one that may not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from ocrvl.errors import InvalidArgument
from ocrvl.messages import encode_texts
from ocrvl.models.fields.request import Limits, decode_request
from ocrvl.wire import Tensor
from tests.support.doubles import MemoryTensors

LIMITS = Limits(max_words=4, max_pixels=100 * 60)


def tensors(**changes: Any) -> Mapping[Tensor, Any]:
    given: dict[Tensor, Any] = {
        Tensor.WORDS: encode_texts(["Total", "9.00"])[None],
        Tensor.BOX: np.array([[[1, 2, 30, 12], [40, 2, 60, 12]]], np.float32),
        Tensor.LINE: np.array([[0, 0]], np.int32),
        Tensor.PIXELS: np.zeros((1, 60, 100, 3), np.uint8),
    }
    given |= {Tensor(name): value for name, value in changes.items()}
    return {name: value for name, value in given.items() if value is not None}


def boxes(*rows: Any) -> Any:
    return np.array([rows], np.float32)


def raw(*words: bytes) -> Any:
    array = np.empty((1, len(words)), dtype=object)
    array[0, :] = words
    return array


def test_words_boxes_lines_and_the_image_s_size_are_read() -> None:
    receipt = decode_request(MemoryTensors(tensors()), LIMITS)
    assert [(word.text, word.box, word.line) for word in receipt.words] == [
        ("Total", (1, 2, 30, 12), 0),
        ("9.00", (40, 2, 60, 12), 0),
    ]
    assert receipt.size == (100, 60)
    assert receipt.pixels is not None


def test_the_size_is_that_of_the_boxes_where_the_pixels_are_of_a_reduced_image() -> None:
    given = tensors(size=np.array([[1000, 600]], np.int32))
    assert decode_request(MemoryTensors(given), LIMITS).size == (1000, 600)
    alone = decode_request(MemoryTensors(tensors(size=np.array([[1000, 600]], np.int32), pixels=None)), LIMITS)
    assert alone.size == (1000, 600)
    assert alone.pixels is None


def test_a_receipt_may_have_no_words() -> None:
    empty = tensors(words=raw(), box=np.zeros((1, 0, 4), np.float32), line=np.zeros((1, 0), np.int32))
    assert decode_request(MemoryTensors(empty), LIMITS).words == []


def test_a_box_that_a_detector_has_rounded_is_cut_at_the_image_s_edge() -> None:
    given = tensors(box=boxes([-0.5, 0, 30, 12], [40, 2, 100.9, 60.5]))
    assert [word.box for word in decode_request(MemoryTensors(given), LIMITS).words] == [
        (0, 0, 30, 12),
        (40, 2, 100, 60),
    ]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"words": None}, "words is missing"),
        ({"box": None}, "box is missing"),
        ({"line": None}, "line is missing"),
        ({"words": raw(b"a", b"\xff")}, r"words 1: not UTF-8"),
        ({"words": raw(b"a", b" \n")}, r"words 1: empty"),
        ({"words": raw(b"a", b"b" * 257)}, r"words 1: 257 characters, at most 256"),
        ({"words": raw(*[b"a"] * 5)}, r"words: 5 words, at most 4"),
        ({"words": raw(b"a")}, r"box: shape \[2, 4\] for 1 words"),
        ({"box": boxes([1, 2, 3, 4])}, r"box: shape \[1, 4\] for 2 words, expected \[2, 4\]"),
        ({"box": np.zeros((1, 2, 3), np.float32)}, r"box: shape \[2, 3\]"),
        ({"box": np.zeros((2, 4), np.float32)}, r"box: shape \[2, 4\], expected a leading 1"),
        ({"line": np.array([[0]], np.int32)}, r"line: 1 for 2 words"),
        ({"line": np.array([[0, -3]], np.int32)}, r"line 1: -3, expected 0 or more"),
        ({"box": boxes([1, 2, 3, 4], [1, np.nan, 3, 4])}, r"box 1: .* is no box"),
        ({"box": boxes([1, 2, np.inf, 4], [1, 2, 3, 4])}, r"box 0: .* is no box"),
        ({"box": boxes([1, 2, 3, 4], [30, 2, 3, 4])}, r"box 1: \[30.0, 2.0, 3.0, 4.0\] ends before it begins"),
        ({"box": boxes([1, 2, 3, 4], [1, 2, 300, 4])}, r"box 1: .* reaches out of the image of 100x60"),
        ({"box": boxes([-9, 2, 3, 4], [1, 2, 3, 4])}, r"box 0: .* reaches out of the image"),
        ({"pixels": None}, "expected either pixels or size"),
        ({"pixels": np.zeros((1, 60, 101, 3), np.uint8)}, "pixels: 101x60, at most 6000 pixels"),
        ({"pixels": np.zeros((1, 60, 100, 4), np.uint8)}, r"pixels: shape \[1, 60, 100, 4\]"),
        ({"pixels": np.zeros((1, 0, 100, 3), np.uint8)}, r"pixels: shape \[1, 0, 100, 3\]"),
        ({"size": np.array([[0, 60]], np.int32)}, "size: 0x60"),
        ({"size": np.array([[9, 2_000_000]], np.int32)}, "size: 9x2000000"),
        ({"size": np.array([100, 60], np.int32)}, r"size: shape \[2\]"),
    ],
)
def test_what_a_request_may_not_be_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        decode_request(MemoryTensors(tensors(**changes)), LIMITS)
