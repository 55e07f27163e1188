"""JSON schemas that a caller sends: what they may contain, and how much they may cost.

vLLM checks a schema in the event loop of the engine's process, once for each image, and makes a grammar of it in the
scheduler's. Measured on llguidance 1.7.6 with a vocabulary of 103,424 tokens on one core of a shared machine, check
and grammar take, in ms:

    properties, all optional         100: 3, 2     300: 7, 10    520: 15, 23, and fails while generating
    alternatives of objects          32: 4, 3      48: 8, 4, and fails while generating
    maxItems                         4000: 10, 18  100,000: 270, 780, and fails   10,000,000: hangs
    multipleOf                       997: 1, 4     24.99: fails while generating    99991.01: 1, 11,000

`minLength`, `maxLength`, `minItems` and `enum` cost little at any size.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final

from jsonschema import FormatChecker
from jsonschema.exceptions import best_match
from jsonschema.validators import Draft3Validator, Draft202012Validator, validator_for
from llguidance import LLMatcher

from ocrvl.structured_output.pattern import check_pattern
from ocrvl.structured_output.references import Found, References, Schema, quote

MAX_BYTES: Final = 64 * 1024
"""Bytes of a schema in JSON."""

MAX_NESTING: Final = 32
"""Objects and lists of a schema inside one another; vLLM itself refuses from 64 on."""

MAX_SCHEMAS: Final = 300
"""Schemas in a schema: properties, items, alternatives, definitions, and itself."""

MAX_ITEMS: Final = 4096
"""The sum of all `minItems` and `maxItems`: a text has 4096 tokens unless the request says otherwise."""

MAX_LENGTH: Final = 131_072
"""`minLength`, `maxLength`: the most tokens that a request may ask for."""

MAX_MULTIPLE: Final = 1000
"""`multipleOf`, its decimal point left out: 2.5 counts as 25."""

MAX_COMMON_MULTIPLE: Final = 10_000
"""The least common multiple of all `multipleOf`, in the smallest decimal place of any. 997 and 991 take 3 s."""

_MAPS: Final = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
_LISTS: Final = ("allOf", "anyOf", "oneOf", "prefixItems", "items")
_SINGLE: Final = (
    "items", "additionalItems", "additionalProperties", "unevaluatedItems", "unevaluatedProperties",
    "contains", "contentSchema", "propertyNames", "not", "if", "then", "else",
)  # fmt: skip
_LONG: Final = 300
"""Characters of a message of llguidance, which may repeat a caller's text as well."""


def check_schema(schema: Schema) -> None:
    """Raises `ValueError`, saying what is wrong and where, for a schema that cannot guide generation.

    `$.properties.total` in a message is the schema of the property `total`.
    """
    try:
        text = json.dumps(schema, ensure_ascii=False, allow_nan=False)
    except ValueError:
        raise ValueError("NaN and Infinity are not JSON") from None
    if (size := len(text.encode())) > MAX_BYTES:
        raise ValueError(f"{size} bytes of JSON, at most {MAX_BYTES} are taken")
    _check_text(text)


@lru_cache(maxsize=64)
def _check_text(text: str) -> None:
    schema = json.loads(text)
    _check_nesting(schema)
    found = {id(part): (path, part) for path, part in _schemas("$", schema)}
    if len(found) > MAX_SCHEMAS:
        raise ValueError(f"{len(found)} schemas are in it, at most {MAX_SCHEMAS} are taken")
    _check_validity(_dialect(schema), found)
    for path, part in found.values():
        _check_part(path, part)
    if (items := sum(part.get(key, 0) for _, part in found.values() for key in ("minItems", "maxItems"))) > MAX_ITEMS:
        raise ValueError(f"minItems and maxItems come to {items} in all, at most {MAX_ITEMS} is taken")
    _check_multiples(found)
    References(schema, found).check()
    if problem := LLMatcher.validate_grammar(LLMatcher.grammar_from_json_schema(text)):
        raise ValueError(_reason(problem))


def _check_nesting(schema: Schema) -> None:
    level: list[Any] = [schema]
    for _ in range(MAX_NESTING):
        inner = [value for node in level for value in (node.values() if isinstance(node, dict) else node)]
        level = [value for value in inner if isinstance(value, dict | list)]
    if level:
        raise ValueError(f"objects and lists are more than {MAX_NESTING} levels deep")


def _dialect(schema: Schema) -> Any:
    """The validator of what the schema says it is written in."""
    if "$schema" not in schema:
        return Draft202012Validator
    validator = validator_for({"$schema": str(schema["$schema"])}, default=None)
    if validator in (None, Draft3Validator):
        raise ValueError(f"$.$schema: unknown, leave it out or write '{Draft202012Validator.META_SCHEMA['$id']}'")
    return validator


def _check_validity(dialect: Any, found: Found) -> None:
    """Check each schema by itself: under the keywords of other dialects a dialect does not look for any."""
    # patterns are looked at further on, by what reads them
    validator = dialect(dialect.META_SCHEMA, format_checker=FormatChecker(formats=()))
    for path, part in found.values():
        if (error := best_match(validator.iter_errors(_alone(part)))) is not None:
            raise ValueError(f"{path}{error.json_path.removeprefix('$')}: {quote(error.message)}")


def _alone(schema: Schema) -> Schema:
    """A schema whose inner schemas are empty, where they are objects."""
    alone = dict(schema)
    for key, value in schema.items():
        if isinstance(value, dict) and key in _MAPS:
            alone[key] = {name: {} if isinstance(inner, dict) else inner for name, inner in value.items()}
        elif isinstance(value, list) and key in _LISTS:
            alone[key] = [{} if isinstance(inner, dict) else inner for inner in value]
        elif isinstance(value, dict) and key in _SINGLE:
            alone[key] = {}
    return alone


def _schemas(path: str, schema: Schema) -> Iterator[tuple[str, Schema]]:
    """A schema and those inside it that are objects, each with its path."""
    yield path, schema
    inner: list[tuple[str, Any]] = [(key, schema.get(key)) for key in _SINGLE]
    for key in _MAPS:
        if isinstance(entries := schema.get(key), dict):
            inner += [(f"{key}.{name}", value) for name, value in entries.items()]
    for key in _LISTS:
        if isinstance(entries := schema.get(key), list):
            inner += [(f"{key}.{index}", value) for index, value in enumerate(entries)]
    for name, value in inner:
        if isinstance(value, dict):
            yield from _schemas(f"{path}.{name}", value)


def _check_part(path: str, schema: Schema) -> None:
    """Check what a schema says itself, without those inside it."""
    if path != "$" and "$id" in schema:
        raise ValueError(f"{path}.$id: only the whole schema can have one")
    if "x-guidance" in schema:
        raise ValueError(f"{path}.x-guidance: not supported")
    for key in ("minLength", "maxLength"):
        if schema.get(key, 0) > MAX_LENGTH:
            raise ValueError(f"{path}.{key}: at most {MAX_LENGTH} is taken")
    for key, patterns in (
        ("pattern", [schema.get("pattern", "")]),
        ("patternProperties", schema.get("patternProperties", ())),
    ):
        for pattern in patterns:
            try:
                check_pattern(pattern)
            except ValueError as error:
                raise ValueError(f"{path}.{key}: {quote(pattern)}: {error}") from None


def _check_multiples(found: Found) -> None:
    """Check every `multipleOf`, and all of them together, since those of one number are combined."""
    multiples = {}
    for path, part in found.values():
        if "multipleOf" in part:
            multiple = Decimal(str(part["multipleOf"])).normalize()
            if multiple > MAX_MULTIPLE or multiple.scaleb(_decimals(multiple)) > MAX_MULTIPLE:
                raise ValueError(f"{path}.multipleOf: at most {MAX_MULTIPLE} is taken, its decimal point left out")
            multiples[multiple] = path
    decimals = max(map(_decimals, multiples), default=0)
    if math.lcm(*(int(multiple.scaleb(decimals)) for multiple in multiples)) > MAX_COMMON_MULTIPLE:
        paths = ", ".join(sorted(multiples.values()))
        raise ValueError(f"the multipleOf of {paths} have no common multiple up to {MAX_COMMON_MULTIPLE}")


def _decimals(number: Decimal) -> int:
    return max(0, -int(number.as_tuple().exponent))


def _reason(problem: str) -> str:
    """What llguidance says is wrong, in our words where its own are about its settings."""
    if problem.startswith("oneOf"):
        return "oneOf is not supported where more than one of its schemas can hold: write anyOf"
    if problem.startswith("Unimplemented keys:"):
        return f"not supported: {problem.partition(':')[2].strip()}"
    return problem.splitlines()[0][:_LONG]
