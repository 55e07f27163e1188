"""What cannot guide generation is refused with its place, and the rest works in the engine."""

from __future__ import annotations

import json
import re
from typing import Any

import llguidance.hf
import pytest
from llguidance import LLMatcher, LLTokenizer, grammar_from
from transformers import AutoTokenizer

from ocrvl.checkpoint import nano_path
from ocrvl.errors import InvalidArgument
from ocrvl.options import parse_options
from ocrvl.structured_output import check_pattern, check_schema

Schema = dict[str, Any]


def closed(**properties: object) -> Schema:
    """An object of exactly these properties."""
    return {"type": "object", "properties": properties, "required": [*properties], "additionalProperties": False}


def chain(length: int, last: Schema) -> Schema:
    """Definitions that refer to one another, so many, down to the last."""
    defs: dict[str, Schema] = {f"d{index}": {"$ref": f"#/$defs/d{index + 1}"} for index in range(length)}
    return {"$defs": {**defs, f"d{length}": last}, "$ref": "#/$defs/d0"}


def nested(levels: int) -> Schema:
    """Lists in lists, in 2 levels of JSON each."""
    schema: Schema = {}
    for _ in range(levels):
        schema = {"allOf": [schema]}
    return schema


TEXT: Schema = {"type": "string"}
TREE = {"$defs": {"node": closed(name=TEXT, parts={"type": "array", "items": {"$ref": "#/$defs/node"}})}}
RECEIPT = closed(
    merchant={"type": "string", "minLength": 1, "maxLength": 80},
    date={"type": "string", "format": "date"},
    total={"type": "number", "minimum": 0, "multipleOf": 0.01},
    currency={"enum": ["EUR", "USD", None]},
    paid={"type": ["boolean", "null"], "description": "is it paid?"},
    items={"type": "array", "maxItems": 50, "items": closed(name=TEXT, count={"type": "integer", "minimum": 1})},
)

PATTERNS = [
    (r"a", "a", "b"),
    (r"[A-Z]{2}\d{6}", "AB123456", "AB12345"),
    (r"^\d{4}-\d{2}-\d{2}$", "2026-11-23", "2026-11-2x"),
    (r"-?\d+(\.\d+)?( ?[A-Z]{3})?", "-12.50 EUR", "12."),
    (r"(\d{1,3},)*\d{3}\.\d{2}", "1,234,567.89", "1,23.45"),
    (r"yes|no|", "", "maybe"),
    (r"(?:red|green|blue)(?:, (?:red|green|blue)){0,20}", "red, blue", "red,"),
    (r"(?P<name>\w+)@\w+(\.\w+)+", "é@b.c", "a@b"),
    (r"(\w+\s){1,2000}", "a b ", "a  "),
    (r"[^\n]{0,500}\n[^\n]{0,500}", "a\nb", "a"),
    (r".*Total: \d{1,6}\.\d{2}.*", "The Total: 3.50!", "Total: 3.5"),
    (r"[A-Z0-9]{1,20}-?[0-9]{1,4}", "AB-12", "-12"),
    (r"[]a-]+", "]a-", "b"),
    (r"[^]a]", "b", "]"),
    (r"[\[\]&-]", "[", "x"),
    (r"a.c", "aéc", "a\nc"),
    (r"\u4e2d|\x41|\t", "中", "B"),
    (r"\(\d+\)\ \/\-", "(1) /-", "1"),
    (r"a{10000}", "a" * 10_000, "a"),
    (r"a+?b??", "aa", "b"),
    (".?" * 25, "abc", "\n"),
    ("[a-z]?" * 100, "abc", "A"),
    ("|".join(f"w{number}" for number in range(800)), "w77", "w"),
    ("(" * 31 + "a" + ")" * 31, "a", "b"),
]

SCHEMAS = [
    ({}, '{"a": [1]}', "{"),
    (TEXT, '"a"', "1"),
    (RECEIPT["properties"]["items"], '[{"name": "a", "count": 2}]', '[{"name": "a", "count": 0}]'),
    (RECEIPT["properties"]["total"], "1.25", "1.255"),
    (RECEIPT, '{"merchant": "x", "date": "2026-11-23", "total": 1, "currency": null, "paid": null, "items": []}', "{}"),
    ({**TREE, "$ref": "#/$defs/node"}, '{"name":"a","parts":[{"name":"b","parts":[]}]}', '{"name":"a","parts":[1]}'),
    ({"type": "array", "items": {"$ref": "#"}}, "[[],[[]]]", "[1]"),
    ({"$defs": {"a b/c": TEXT}, "$ref": "#/$defs/a%20b~1c"}, '"a"', "1"),
    ({"definitions": {"any": True}, "$ref": "#/definitions/any"}, "1", "x"),
    ({"anyOf": [TEXT, {"$ref": "#/anyOf/0"}]}, '"a"', "1"),
    ({"anyOf": [closed(a=TEXT), closed(b=TEXT)]}, '{"b":"x"}', '{"c":"x"}'),
    ({"oneOf": [TEXT, {"type": "null"}]}, "null", "1"),
    ({"allOf": [{"properties": {"a": TEXT}}, {"type": "object"}]}, '{"a":"x"}', '{"a":1}'),
    ({"type": "string", "pattern": r"^[A-Z]{2}\d{6}$"}, '"AB123456"', '"AB"'),
    ({"type": "string", "pattern": r"\d{4}"}, '"in 2026"', '"in 26"'),
    ({"type": "object", "patternProperties": {"^x": TEXT}, "additionalProperties": False}, '{"xy":"a"}', '{"a":"a"}'),
    ({"type": "object", "properties": {"$ref": TEXT, "pattern": TEXT}, "required": ["$ref"]}, '{"$ref":"("}', "{}"),
    ({"enum": [{"$ref": "nowhere"}, 1], "default": {"$ref": 3}, "examples": [{"not": {}}]}, "1", "2"),
    ({"type": "array", "prefixItems": [TEXT], "items": False}, '["a"]', '["a",1]'),
    ({"type": "array", "minItems": 2, "maxItems": 4000}, "[1,2]", "[1]"),
    ({"type": "integer", "multipleOf": 997, "exclusiveMinimum": 0}, "1994", "0"),
    ({"type": "object", "properties": {f"p{number}": TEXT for number in range(299)}}, '{"p7":"a"}', '{"p7":1}'),
    ({"anyOf": [{"type": "string", "minLength": number} for number in range(32)]}, '"a"', "1"),
    ({"allOf": [{"anyOf": [TEXT, {"type": "integer"}]} for _ in range(5)]}, '"a"', "null"),
    ({"$schema": "http://json-schema.org/draft-07/schema#", "items": [TEXT], "type": "array"}, '["a"]', "[1]"),
    ({"enum": [f"value {number}" for number in range(3000)]}, '"value 2999"', '"value 3000"'),
    (chain(297, TEXT), '"a"', "1"),
    (nested(15), '"a"', "x"),
]

FORMATS = {
    "date": "2026-11-23",
    "time": "10:00:00Z",
    "date-time": "2026-11-23T10:00:00Z",
    "duration": "P1D",
    "email": "a@b.cd",
    "hostname": "a.b",
    "ipv4": "1.2.3.4",
    "ipv6": "::1",
    "uri": "https://a.b/c",
    "uuid": "6f9619ff-8b86-d011-b42d-00c04fc964ff",
}

REFUSED_PATTERNS = [
    ("(", "missing ), unterminated subpattern at position 0"),
    ("a**", "multiple repeat at position 2"),
    ("[b-a]", "bad character range b-a at position 1"),
    ("\\", "bad escape (end of pattern) at position 0"),
    ("a\x00", "the character NUL"),
    ("a(?=b)", "looking ahead or behind"),
    ("(?!b)a", "looking ahead or behind"),
    ("(?<=b)a", "looking ahead or behind"),
    ("(?<!b)a", "looking ahead or behind"),
    (r"(a)\1", "references to groups"),
    ("(?P<x>a)(?P=x)", "references to groups"),
    ("(a)?(?(1)b|c)", "conditions on groups"),
    (r"\bfoo", r"\b is not supported"),
    (r"foo\B", r"\B is not supported"),
    (r"foo\Z", r"\Z is not supported: write $"),
    ("a^b", "^ and $ can only be at the beginning and the end"),
    ("a$b", "^ and $ can only be at the beginning and the end"),
    ("a*+", "possessive repetition"),
    ("(?>ab)", "atomic groups"),
    ("(?i)a", "flags like (?i)"),
    ("(?i:a)b", "flags like (?i:...)"),
    ("(?#note)a", "unrecognized flag at position 2"),
    ("a{", "unclosed counted repetition at position 1"),
    ("a{,3}", "repetition quantifier expects a valid decimal at position 2"),
    (r"\é", "unrecognized escape sequence at position 0"),
    ("[a&&b]", r"cannot be combined: write \& at position 2"),
    ("[a--b]", r"cannot be combined: write \- at position 2"),
    ("[[a]b]", r"cannot be combined: write \[ at position 1"),
    ("a{10001}", "a part is repeated 10001 times, at most 10000"),
    ("((a{0,100}){0,100}){0,100}", "a part is repeated 1000000 times"),
    ("a{99999999999}", "a part is repeated too often"),
    ("(" * 33 + "a" + ")" * 33, "more than 32 groups"),
    ("(" * 1500 + "a" + ")" * 1500, "more than 32 groups"),
    ("a" * 4097, "4097 characters, at most 4096"),
    (r"\w?" * 40, "too costly to match (156, at most 100"),
    (".?" * 80, "too costly to match"),
    ("[a-z]?" * 128, "too costly to match (127"),
    (r"(\w{1,8}\s?){1,8}", "too costly to match (256"),
    (r"(\w|\w\w){1,32}", "too costly to match"),
    ("(?:.|)" * 40, "too costly to match"),
    (r"(\w*\W*){1,32}", "too costly to match"),
    (r"\S*\w\S{30}", "too costly to match"),
    (r"((\S[^\n]{2,}| {2,}){10,})*", "too costly to match"),
]

REFUSED_SCHEMAS = [
    ({"type": "strin"}, "$.type: \"'strin' is not valid under any of the given schemas"),
    (closed(a={"type": "string", "minLength": -1}), "$.properties.a.minLength: '-1 is less than the minimum of 0'"),
    ({"required": "a"}, "$.required: \"'a' is not of type 'array'\""),
    ({"items": [TEXT]}, "$.items: "),
    ({"$schema": "http://example.com/mine"}, "$.$schema: unknown, leave it out or write 'https://json-schema.org/"),
    ({"$schema": 1}, "$.$schema: unknown"),
    ({"minimum": float("nan")}, "NaN and Infinity are not JSON"),
    ({"description": "é" * 33_000}, "bytes of JSON, at most 65536"),
    (nested(16), "more than 32 levels deep"),
    ({"default": json.loads("[" * 40 + "]" * 40)}, "more than 32 levels deep"),
    ({"properties": {f"p{number}": TEXT for number in range(300)}}, "301 schemas are in it, at most 300"),
    (closed(a={"$ref": "https://example.com/a"}), "$.properties.a.$ref: 'https://example.com/a' is not in this schema"),
    ({"$defs": {"a": {"$anchor": "x"}}, "$ref": "#x"}, "$.$ref: '#x' is not in this schema: write #/$defs/"),
    ({"$ref": "#/$defs/a"}, "$.$ref: '#/$defs/a' not found"),
    ({"anyOf": [TEXT], "$ref": "#/anyOf/7"}, "$.$ref: '#/anyOf/7' not found"),
    ({"enum": [{}], "$ref": "#/enum/0"}, "$.$ref: '#/enum/0' is not a schema"),
    ({"$defs": {"a": {"$id": "b", **TEXT}}, "$ref": "#/$defs/a"}, "$.$defs.a.$id: only the whole schema"),
    (chain(3, {"$ref": "#/$defs/d1"}), "$.$defs.d1: refers to itself"),
    ({"anyOf": [TEXT, {"allOf": [{"$ref": "#"}]}]}, "$: refers to itself"),
    ({"type": "string", "pattern": "("}, "$.pattern: '(': missing ), unterminated subpattern at position 0"),
    (closed(a={"pattern": "(?=a)"}), "$.properties.a.pattern: '(?=a)': looking ahead"),
    ({"patternProperties": {"^a": {}, "[": {}}}, "$.patternProperties: "),
    ({"patternProperties": {"^a": {}, "a{,3}": {}}}, "$.patternProperties: 'a{,3}': repetition quantifier"),
    ({"pattern": r"\w?" * 500}, "too costly to match"),
    ({"maxItems": 10_000_000}, "minItems and maxItems come to 10000000 in all, at most 4096"),
    ({"items": {"items": {"maxItems": 2000}, "maxItems": 2000}, "minItems": 97}, "come to 4097 in all"),
    (closed(a={"maxLength": 131_073}), "$.properties.a.maxLength: at most 131072"),
    ({"minLength": 10**300}, "$.minLength: at most 131072"),
    ({"multipleOf": 1001}, "$.multipleOf: at most 1000 is taken, its decimal point left out"),
    ({"multipleOf": 24.99}, "$.multipleOf: at most 1000"),
    ({"multipleOf": 10**300}, "$.multipleOf: at most 1000"),
    (closed(a={"multipleOf": 997}, b={"multipleOf": 991}), "of $.properties.a, $.properties.b have no common multiple"),
    (closed(a={"multipleOf": 7}, b={"multipleOf": 1e-9}), "no common multiple up to 10000"),
    ({"anyOf": [{"minLength": number} for number in range(33)]}, "$: comes to 33 alternatives, at most 32"),
    ({"allOf": [{"anyOf": [TEXT, {}, {"type": "null"}]} for _ in range(4)]}, "$: comes to 81 alternatives"),
    ({"$defs": {"a": {"oneOf": [{}] * 8}}, "allOf": [{"$ref": "#/$defs/a"}] * 2}, "$: comes to 64 alternatives"),
    ({"oneOf": [{"minLength": 1}, {"maxLength": 3}]}, "oneOf is not supported where more than one"),
    ({"not": TEXT}, 'not supported: ["not"]'),
    (closed(a={"type": "array", "uniqueItems": True}), 'not supported: ["uniqueItems"]'),
    ({"type": "string", "format": "iri"}, "Unknown format: iri"),
    ({"type": "string", "enum": [1]}, "Unsatisfiable schema"),
    ({"x-guidance": {"lenient": True}, "not": {}}, "$.x-guidance: not supported"),
]


@pytest.fixture(scope="module")
def tokenizer() -> LLTokenizer:
    return llguidance.hf.from_tokenizer(AutoTokenizer.from_pretrained(nano_path()))


def matcher(tokenizer: LLTokenizer, grammar: str) -> LLMatcher:
    """What the engine makes of a grammar; it has computed what the first token may be."""
    made = LLMatcher(tokenizer, grammar)
    made.compute_bitmask()
    assert not made.get_error()
    return made


def takes(tokenizer: LLTokenizer, grammar: str, text: str) -> bool:
    """Whether generation could give exactly this text."""
    guide = matcher(tokenizer, grammar)
    tokens = tokenizer.tokenize_bytes(text.encode())
    return guide.try_consume_tokens(tokens) == len(tokens) and guide.is_accepting()


@pytest.mark.parametrize(("pattern", "good", "bad"), PATTERNS)
def test_accepted_patterns_mean_in_the_engine_what_they_say(
    tokenizer: LLTokenizer, pattern: str, good: str, bad: str
) -> None:
    check_pattern(pattern)
    grammar = grammar_from("regex", pattern)
    assert takes(tokenizer, grammar, good)
    assert not takes(tokenizer, grammar, bad)


@pytest.mark.parametrize(("schema", "good", "bad"), SCHEMAS)
def test_accepted_schemas_mean_in_the_engine_what_they_say(
    tokenizer: LLTokenizer, schema: Schema, good: str, bad: str
) -> None:
    check_schema(schema)
    grammar = LLMatcher.grammar_from_json_schema(schema)
    assert takes(tokenizer, grammar, good)
    assert not takes(tokenizer, grammar, bad)


@pytest.mark.parametrize("name", FORMATS)
def test_the_formats_that_the_documentation_names_are_followed(tokenizer: LLTokenizer, name: str) -> None:
    schema = {"type": "string", "format": name}
    check_schema(schema)
    assert takes(tokenizer, LLMatcher.grammar_from_json_schema(schema), f'"{FORMATS[name]}"')
    assert not takes(tokenizer, LLMatcher.grammar_from_json_schema(schema), '"?!"')


def test_vllm_takes_what_is_accepted_here() -> None:
    from vllm import SamplingParams
    from vllm.sampling_params import StructuredOutputsParams
    from vllm.v1.structured_output.backend_guidance import validate_guidance_grammar

    structures = [StructuredOutputsParams(regex=pattern) for pattern, *_ in PATTERNS]
    structures += [StructuredOutputsParams(json=schema) for schema, *_ in SCHEMAS]
    for structure in structures:
        validate_guidance_grammar(SamplingParams(structured_outputs=structure))


@pytest.mark.parametrize(("pattern", "reason"), REFUSED_PATTERNS)
def test_patterns_that_cannot_guide_generation_are_refused(pattern: str, reason: str) -> None:
    with pytest.raises(ValueError, match=re.escape(reason)):
        check_pattern(pattern)


@pytest.mark.parametrize(("schema", "reason"), REFUSED_SCHEMAS)
def test_schemas_that_cannot_guide_generation_are_refused_with_the_place(schema: Schema, reason: str) -> None:
    with pytest.raises(ValueError, match=re.escape(reason)) as caught:
        check_schema(schema)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"regex": "("}, "options: regex: missing ), unterminated subpattern at position 0"),
        ({"json_schema": {"type": "strin"}}, "options: json_schema: $.type: \"'strin' is not valid"),
        ({"json_schema": {"$ref": "#/a"}, "raw": 1}, "json_schema: $.$ref: '#/a' not found; raw: Input should be"),
    ],
)
def test_the_error_names_the_key_and_what_is_wrong(options: Schema, reason: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        parse_options(json.dumps(options).encode())
    assert reason in str(caught.value)
