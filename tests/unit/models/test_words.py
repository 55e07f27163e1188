"""A line's words: all of its text, each in its part of the line's box."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocrvl.models.words import Word, split_line


def test_a_word_s_box_is_its_share_of_the_line_s_characters() -> None:
    assert split_line("ab cde", (0.0, 5.0, 60.0, 9.0), 2) == [
        Word("ab", (0.0, 5.0, 20.0, 9.0), 2),
        Word("cde", (30.0, 5.0, 60.0, 9.0), 2),
    ]


@pytest.mark.parametrize("text", ["", " ", "\t\n"])
def test_a_line_without_text_has_no_words(text: str) -> None:
    assert split_line(text, (0, 0, 9, 9), 0) == []


@given(st.text(max_size=40), st.floats(0, 1e4), st.floats(0, 1e4))
def test_words_keep_the_text_and_stay_in_the_box_from_left_to_right(text: str, left: float, width: float) -> None:
    words = split_line(text, (left, 1, left + width, 2), 0)
    assert [word.text for word in words] == text.split()
    edges = [edge for word in words for edge in (word.box[0], word.box[2])]
    assert edges == sorted(edges)
    assert all(left <= edge <= left + width * (1 + 1e-9) + 1e-9 for edge in edges)
