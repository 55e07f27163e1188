"""`ocrvl_client`: what a server answers becomes readings, tables and spots, or an error of the client's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from ocrvl.wire import FinishReason, Tensor
from ocrvl_client import Reading, ServerError
from ocrvl_client._documents import decode_part
from ocrvl_client._readings import decode_piece, decode_read
from ocrvl_client._tables import rows_of
from ocrvl_client._transports.generate import decode_event


@pytest.mark.parametrize(
    ("html", "rows"),
    [
        ("<table><tr><td>a<![x]>b<![endif]></td></tr></table>", [["ab"]]),
        ("<table><tr><td>a</td></tr></table><![x", [["a"]]),
        (f'<tr><td rowspan="{"9" * 5000}">a</td></tr>', [["a"]]),
        ('<tr><td colspan="0002">a</td></tr>', [["a", "a"]]),
        ('<tr><td colspan="000">a</td></tr>', [["a"]]),
    ],
)
def test_a_table_of_odd_html_has_rows(html: str, rows: list[list[str]]) -> None:
    assert rows_of(html) == rows


def test_cells_are_not_repeated_without_end() -> None:
    wide = "<table><tr>" + '<td rowspan="999" colspan="999">a</td>' * 400 + "</tr>" + "<tr><td>b</td></tr>" * 400
    rows = rows_of(wide)
    assert len(rows) == 401
    assert sum(map(len, rows)) < 110_000


def test_a_spot_at_an_impossible_place_is_none() -> None:
    text = f'{{"rec_texts": ["a"], "rec_polys": [[[{"1" * 400}, 0]]]}}'
    assert Reading(text, FinishReason.STOP, 1, 1).spots == []


@pytest.mark.parametrize(
    ("event", "decode"),
    [
        (b"<html>", decode_piece),
        (b"5", decode_piece),
        (b"[" * 100_000, decode_piece),
        (b'{"model_name": 1, "index": 0}', decode_piece),
        (b'{"model_name": 1, "index": 99999999999999999999}', decode_piece),
        (b'{"model_name": 1, "finish_reason": "stop"}', decode_piece),
        (b'{"model_name": 1, "docx": "!"}', decode_part),
        (b'{"model_name": 1, "document_markdown": ["a", "b"]}', decode_part),
    ],
)
def test_an_answer_that_is_not_of_this_protocol_is_an_error_of_the_client_s_own(
    event: bytes, decode: Callable[[Mapping[Tensor, Any]], Any]
) -> None:
    with pytest.raises(ServerError, match="the answer is not one that this client knows"):
        decode(decode_event(b"data: " + event) or {})


def test_an_unknown_finish_reason_is_an_error_of_the_client_s_own() -> None:
    texts = np.array([b"maybe"], object)
    answer = dict.fromkeys(Tensor, texts) | {Tensor.NUM_INPUT_TOKENS: np.zeros(1, np.int32)}
    with pytest.raises(ServerError, match="'maybe' is not a valid FinishReason"):
        decode_read(answer)
