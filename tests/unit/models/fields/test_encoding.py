"""Words to tokens: nothing lost, nothing beyond the model's length, boxes and pixels on its scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from ocrvl.models.fields.classifier import Classifier, WordsOnImage
from ocrvl.models.fields.encoding import SpecialTokens, Window, encode_words, scale_boxes, scale_pixels
from ocrvl.models.fields.labels import Label
from ocrvl.models.words import Word, split_line

SPECIAL = SpecialTokens(begin=0, end=2, pad=1)
LETTERS = "abcdefghijklmnopqrstuvwxyz"


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    """A token for each letter, and none for any other sign."""
    vocabulary = {letter: 3 + index for index, letter in enumerate(LETTERS)}
    letters = Tokenizer(models.BPE(vocabulary, []))
    letters.pre_tokenizer = pre_tokenizers.Whitespace()
    return letters


def rows(*texts: str) -> list[Word]:
    return [
        word
        for number, text in enumerate(texts)
        for word in split_line(text, (0, 20 * number, 10 * len(text), 20 * number + 15), number)
    ]


def encode(words: Sequence[Word], tokenizer: Any, most: int = 512) -> list[Window]:
    return encode_words(words, (200, 400), tokenizer, SPECIAL, most)


def test_words_that_fit_are_one_window_with_what_begins_and_ends_it(tokenizer: Any) -> None:
    (window,) = encode(rows("ab c", "de"), tokenizer)
    assert window.ids.tolist() == [0, 3, 4, 5, 6, 7, 2]
    assert window.words == (0, 1, 2)
    assert window.places == (1, 3, 4)
    assert window.boxes.tolist()[1:3] == [[0, 0, 100, 37]] * 2
    assert window.boxes.tolist()[0] == window.boxes.tolist()[-1] == [0, 0, 0, 0]


@pytest.mark.parametrize("most", [8, 12, 50, 200])
def test_every_word_is_in_a_window_and_none_is_too_long(tokenizer: Any, most: int) -> None:
    words = rows(*("abc defg hi" for _ in range(30)), "x" * 300)
    windows = encode(words, tokenizer, most)
    assert all(len(window.ids) <= most for window in windows)
    assert {index for window in windows for index in window.words} == set(range(len(words)))


def test_a_window_begins_with_the_last_rows_of_the_one_before(tokenizer: Any) -> None:
    windows = encode(rows(*("abcdefghij" for _ in range(60))), tokenizer, 300)
    for before, after in pairwise(windows):
        shared = set(before.words) & set(after.words)
        assert 1 <= len(shared) <= 9
        assert max(before.words) in shared


def test_a_word_without_any_token_is_kept_among_the_others(tokenizer: Any) -> None:
    (window,) = encode(rows("a ?? b", "??"), tokenizer)
    assert window.words == (0, 1, 2, 3)
    assert window.places == (1, 2, 2, 3)


def test_boxes_are_thousandths_of_the_image() -> None:
    assert scale_boxes([Word("a", (0, 100, 100, 400), 0)], (200, 400)).tolist() == [[0, 250, 500, 1000]]


def test_pixels_are_from_minus_one_to_one_and_zeros_where_there_are_none() -> None:
    white, black = np.full((50, 80, 3), 255, np.uint8), np.zeros((50, 80, 3), np.uint8)
    assert scale_pixels(white, 32).shape == (3, 32, 32)
    assert scale_pixels(white, 32).min() == 1
    assert scale_pixels(black, 32).max() == -1
    assert not scale_pixels(None, 32).any()


class Vowels:
    """A network that takes vowels for totals, and remembers what it was given."""

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    def __call__(self, inputs: Mapping[str, Any]) -> Any:
        ids = inputs["input_ids"]
        self.shapes.append(ids.shape)
        assert inputs["pixel_values"].shape == (len(ids), 3, 16, 16)
        assert ((ids == SPECIAL.pad) == (inputs["attention_mask"] == 0)).all()
        logits = np.zeros((*ids.shape, 2), np.float32)
        logits[..., 1] = np.where(np.isin(ids, [3 + LETTERS.index(letter) for letter in "aeiou"]), 9, -9)
        return logits


def test_every_word_is_judged_by_its_first_token_in_its_own_receipt(tokenizer: Any) -> None:
    network = Vowels()
    classifier = Classifier(network, tokenizer, SPECIAL, (Label.OTHER, Label.TOTAL), 40, 16)
    texts = [["abc", "cba"], ["x"], ["oo ba"] * 40, ["eb be"]]
    judged = classifier.judge([WordsOnImage(rows(*one), (900, 900), None) for one in texts])
    for one, found in zip(texts, judged, strict=True):
        words = " ".join(one).split()
        assert [word.label is Label.TOTAL for word in found] == [word[0] in "aeiou" for word in words]
        assert all(0.99 < word.confidence <= 1 for word in found)
    assert all(count <= 8 and length <= 40 for count, length in network.shapes)


def test_a_receipt_without_words_has_nothing_to_judge(tokenizer: Any) -> None:
    classifier = Classifier(Vowels(), tokenizer, SPECIAL, (Label.OTHER, Label.TOTAL), 40, 16)
    assert classifier.judge([WordsOnImage([], (9, 9), None)]) == [[]]
