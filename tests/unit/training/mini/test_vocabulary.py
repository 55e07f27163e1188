"""Mini's tokens: every text comes back, places and cells are one token each, the merges are what the weights know."""

from __future__ import annotations

import pytest

from training.mini.vocabulary import (
    PLACE_TOKENS,
    TABLE_TOKENS,
    build_tokenizer,
    decode_text,
    encode_text,
    head_ids,
    read_merges,
    tail_ids,
    vocabulary_size,
)
from training.nano.vocabulary import PROMPT_HEAD, prompt_tail

TEXTS = (
    "The quick brown fox, 12.50 €\nüber  two  spaces",
    "naïve Ωmega 日本語 😀",
    "<fcel>a<ecel><lcel><nl>",
    "Total<|LOC_1|><|LOC_1000|>",
    r"\[ \frac{a}{b} \]",
    "",
)


@pytest.mark.parametrize("text", TEXTS)
def test_every_text_comes_back(text: str) -> None:
    assert decode_text(encode_text(text)) == text


def test_places_and_cells_are_one_token_each() -> None:
    assert all(len(encode_text(token)) == 1 for token in (*PLACE_TOKENS, *TABLE_TOKENS))
    assert len(encode_text("a<|LOC_10|><|LOC_20|>")) == 3


def test_places_are_special_and_cells_are_not() -> None:
    ids = encode_text("<fcel>a<|LOC_10|>")
    assert build_tokenizer().decode(ids, skip_special_tokens=True) == "<fcel>a"


def test_prose_takes_fewer_than_half_as_many_tokens_as_characters() -> None:
    text = "This section describes how the installation of the system is configured."
    assert len(encode_text(text)) < 0.5 * len(text)


def test_digits_stay_single_and_pieces_are_short() -> None:
    assert len(encode_text("1234")) == 4
    assert max(len(left + right) for left, right in read_merges()) <= 8


def test_the_vocabulary_fits_the_batches_and_does_not_change() -> None:
    assert vocabulary_size() == 3850 < 2**15


def test_prompts_are_short() -> None:
    tokenizer = build_tokenizer()
    assert tuple(tokenizer.encode(PROMPT_HEAD).ids) == head_ids()
    assert tuple(tokenizer.encode(prompt_tail("Spotting:")).ids) == tail_ids("Spotting:")
    assert len(tail_ids("Formula Recognition:")) <= 16
