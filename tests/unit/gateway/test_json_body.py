"""Bodies of very many values or very long ones: refused before they are parsed, with a short answer."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from ocrvl_gateway.json_body import MAX_FIELDS, MAX_VALUES
from ocrvl_gateway.paddle.restructure_pool import RestructurePool
from tests.support.doubles import WAIT_SECONDS
from tests.support.gateways import (
    GatewayClient,
    ScriptedReader,
    chat,
    make_app,
)

CHAT = "/v1/chat/completions"
OTHERS = ("/layout-parsing", "/restructure-pages", "/api/document", "/nowhere")
MANY = 2 * MAX_VALUES
BOMBS = {
    "lists": b'{"model": "x", "messages": [' + b"[]," * MANY + b"[]]}",
    "keys": b'{"model": "x", ' + b"".join(b'"k%d": 0,' % number for number in range(MANY)) + b'"messages": []}',
    "values": b'{"pages": [' + b"{}," * MANY + b"{}]}",
    "meta": b'{"metadata": {' + b",".join(b'"%d": 0' % number for number in range(MANY)) + b"}}",
    "fields": b"{" + b",".join(b'"k%d": 0' % number for number in range(MAX_FIELDS + 1)) + b"}",
    "deep": b"[" * (MAX_VALUES - 1),
    "long key": b'{"' + b"k" * 1_000_000 + b'": 0}',
    "long name": json.dumps(chat(model="m" * 1_000_000)).encode(),
    "odd name": json.dumps(chat(model='\\"\u20ac\U0001f600' * 100_000)).encode(),
    "wrong type": json.dumps({"pages": [{"prunedResult": ["x" * 99]}] * 999, "messages": ["x" * 9] * 999}).encode(),
    "text": b'"' + base64.b64encode(bytes(999_999)) + b'"',
}


@pytest.mark.parametrize("kind", BOMBS)
@pytest.mark.parametrize("path", [CHAT, *OTHERS])
def test_a_refusal_is_short_whatever_was_sent(kind: str, path: str) -> None:
    reader = ScriptedReader()
    url = path if path != "/api/document" else path + "?" + "&".join(f"k{number}={'x' * 99}" for number in range(300))
    answer = GatewayClient(make_app(reader)).post(
        url, content=BOMBS[kind], headers={"Content-Type": "application/json"}
    )
    assert 400 <= answer.status_code < 500
    assert len(answer.content) < 4096
    assert answer.content.count(b"msg") <= 6
    assert not reader.requests


def test_pages_of_very_many_values_reach_no_worker() -> None:
    body = b'{"pages": [' + b"{}," * 2_000_000 + b"{}]}"
    client = GatewayClient(
        make_app(ScriptedReader(), restructure_pool=RestructurePool(WAIT_SECONDS, module="no.such.module"))
    )
    answer = client.post("/restructure-pages", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert "2000000 values" in answer.json()["errorMsg"]


def test_a_body_of_many_values_is_refused_before_it_is_parsed(monkeypatch: Any) -> None:
    def parse(*_: Any, **__: Any) -> Any:
        raise AssertionError("it was parsed")

    monkeypatch.setattr(json, "loads", parse)
    answer = GatewayClient(make_app(ScriptedReader())).request(
        "POST", CHAT, content=BOMBS["lists"], headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 400
    assert str(MAX_VALUES).encode() in answer.content
