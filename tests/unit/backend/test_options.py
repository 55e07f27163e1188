"""`ocrvl.options`: every wrong option is refused by name."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ocrvl.errors import InvalidArgument
from ocrvl.options import MAX_OPTIONS_BYTES, Options, parse_options


@pytest.mark.parametrize("raw", [None, b"", b"  ", b"{}"])
def test_no_options_are_the_defaults(raw: bytes | None) -> None:
    assert parse_options(raw) == Options()


def test_options_are_what_was_asked_for() -> None:
    options = parse_options(b'{"max_tokens": 5, "temperature": 0.5, "stop": ["x"], "on_error": "keep", "raw": true}')
    assert (options.max_tokens, options.temperature, options.stop) == (5, 0.5, ["x"])
    assert (options.on_error, options.raw) == ("keep", True)


def test_options_survive_between_models() -> None:
    options = parse_options(
        b'{"json_schema": {"type": "object"}, "timeout_ms": 50, "cancel_token": "0aZ._~-89abcdefg", '
        b'"stop_repetition": false}'
    )
    assert options.cancel_token == "0aZ._~-89abcdefg"
    assert not options.stop_repetition
    assert parse_options(options.model_dump_json(exclude_defaults=True).encode()) == options


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"{", "options: not JSON"),
        (b"[" * 100_000, "options: not JSON"),
        (b"[1]", "options: expected a JSON object, got a list"),
        (b'"x"', "expected a JSON object, got a string"),
        (b"null", "expected a JSON object, got a null"),
        (b'{"a": "\xff"}', "options: not UTF-8 (byte 7)"),
        (b" " * MAX_OPTIONS_BYTES + b"{}", "at most 262144 are taken"),
        (b'{"max_token": 1}', "options: unknown key 'max_token' (known: max_tokens, temperature"),
        (b'{"max_tokens": 0}', "max_tokens: Input should be greater than or equal to 1"),
        (b'{"max_tokens": "5"}', "max_tokens: Input should be a valid integer"),
        (b'{"max_tokens": 1.5}', "max_tokens: Input should be a valid integer"),
        (b'{"max_tokens": true}', "max_tokens: Input should be a valid integer"),
        (b'{"temperature": -1}', "temperature: Input should be greater than or equal to 0"),
        (b'{"temperature": NaN}', "temperature"),
        (b'{"temperature": 1e999}', "temperature"),
        (b'{"top_p": 0}', "top_p: Input should be greater than 0"),
        (b'{"repetition_penalty": 0}', "repetition_penalty: Input should be greater than 0"),
        (b'{"seed": -1}', "seed: Input should be greater than or equal to 0"),
        (b'{"stop": "x"}', "stop: Input should be a valid array"),
        (b'{"stop": [""]}', "stop.0: String should have at least 1 character"),
        (b'{"min_pixels": 1}', "min_pixels: Input should be greater than or equal to 784"),
        (b'{"max_pixels": 1e12}', "max_pixels"),
        (b'{"prompt": ""}', "prompt: String should have at least 1 character"),
        (b'{"json_schema": "x"}', "json_schema: Input should be an object"),
        (b'{"json_schema": {}, "regex": "a"}', "options: json_schema and regex exclude each other"),
        (b'{"raw": "yes"}', "raw: Input should be a valid boolean"),
        (b'{"stop_repetition": 1}', "stop_repetition: Input should be a valid boolean"),
        (b'{"cancel_token": "fifteen-letters"}', "cancel_token: expected 16 to 128 letters, digits"),
        (b'{"cancel_token": "sixteen letters."}', "cancel_token: expected 16 to 128 letters, digits"),
        (b'{"cancel_token": "' + b"x" * 129 + b'"}', "cancel_token: expected 16 to 128 letters, digits"),
        (b'{"cancel_token": "0123456789abcdef\\n"}', "cancel_token: expected 16 to 128 letters, digits"),
        (b'{"regex": "a\\ud800"}', "options: Invalid JSON"),
        (b'{"regex": "(?=a)"}', "options: regex: looking ahead or behind is not supported"),
        (b'{"json_schema": {"minimum": NaN}}', "options: json_schema: NaN and Infinity are not JSON"),
        (
            b'{"json_schema": ' + b'{"not": ' * 40 + b"{}" + b"}" * 41,
            "options: json_schema: objects and lists are more",
        ),
        (b'{"timeout_ms": 0}', "timeout_ms: Input should be greater than or equal to 1"),
        (b'{"on_error": "ignore"}', "on_error: Input should be 'fail' or 'keep'"),
        (b'{"a": 1, "raw": 2}', "unknown key 'a'"),
    ],
)
def test_wrong_options_are_refused_by_name(raw: bytes, reason: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        parse_options(raw)
    assert reason in str(caught.value)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ({"additionalItems": {"minItems": "x"}}, "$.additionalItems.minItems: \"'x' is not of type 'integer'\""),
        ({"$schema": "http://json-schema.org/draft-03/schema#", "allOf": 5}, "$.$schema: unknown"),
        ({"$schema": "http://json-schema.org/draft-04/schema#", "$ref": 5}, "'5' is not in this schema"),
        (
            {"$schema": "http://json-schema.org/draft-07/schema#", "$defs": {"a": {"maxItems": []}}},
            "$.$defs.a.maxItems: \"[] is not of type 'integer'\"",
        ),
    ],
)
def test_schemas_under_the_keywords_of_another_dialect_are_checked(schema: dict[str, Any], reason: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        parse_options(json.dumps({"json_schema": schema}).encode())
    assert reason in str(caught.value)


def test_of_many_problems_a_few_are_listed() -> None:
    with pytest.raises(InvalidArgument, match=r"unknown key 'k0' .* and 19997 more$"):
        parse_options(json.dumps(dict.fromkeys([f"k{number}" for number in range(20_000)], 1)).encode())


def test_a_long_key_is_quoted_in_part() -> None:
    with pytest.raises(InvalidArgument, match=r"unknown key 'kkk+…' \(known: "):
        parse_options(json.dumps({"k" * 100_000: 1}).encode())
