"""`ocrvl.structured_output.schema`: JSON schemas."""

from __future__ import annotations

import json
from collections.abc import Sequence

from ocrvl.structured_output import check_schema
from stress.fuzz.target import Target


def check(data: bytes) -> None:
    """A schema is taken, or refused by a `ValueError` that says why."""
    try:
        schema = json.loads(data)
    except (ValueError, RecursionError):
        return
    if isinstance(schema, dict):
        try:
            check_schema(schema)
        except ValueError as error:
            assert str(error), "a refusal without a reason"


def seeds() -> Sequence[bytes]:
    """Schemas with every keyword that leads into others."""
    dialect = "http://json-schema.org/draft-{}/schema#".format
    leaf = {"type": "integer", "multipleOf": 5, "minimum": 0}
    schemas: Sequence[dict[str, object]] = (
        {"type": "object", "properties": {"a": leaf}, "required": ["a"], "additionalProperties": False},
        {"type": "array", "items": {"type": "string", "pattern": "^[a-z]+$"}, "minItems": 1, "maxItems": 9},
        {"$defs": {"a": {"anyOf": [leaf, {"$ref": "#/$defs/a/anyOf/0"}]}}, "$ref": "#/$defs/a"},
        {"oneOf": [{"const": 1}, {"enum": ["a", None]}], "allOf": [{"type": ["string", "integer"]}]},
        {"$schema": dialect("07"), "definitions": {"a": leaf}, "items": [leaf, {"$ref": "#/definitions/a"}]},
        {"$schema": dialect("04"), "additionalItems": leaf, "minLength": 2, "patternProperties": {"^a": leaf}},
    )
    return [json.dumps(one).encode() for one in schemas]


_KEYWORDS = (
    *("type", "properties", "required", "additionalProperties", "items", "prefixItems", "additionalItems", "contains"),
    *("minItems", "maxItems", "minLength", "maxLength", "pattern", "patternProperties", "multipleOf", "minimum"),
    *("maximum", "exclusiveMinimum", "enum", "const", "anyOf", "oneOf", "allOf", "not", "if", "then", "else", "$ref"),
    *("$defs", "definitions", "$schema", "$id", "format", "dependentSchemas", "propertyNames", "unevaluatedItems"),
)
_VALUES = (
    '"object"',
    '"array"',
    '"string"',
    '"number"',
    '"integer"',
    '"null"',
    '"#"',
    '"#/$defs/a"',
    "{}",
    "[]",
    "1e9",
)

TARGET = Target(check, seeds, [*(f'"{key}":' for key in _KEYWORDS), *_VALUES], max_bytes=2048)
