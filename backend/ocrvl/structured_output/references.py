"""References inside a JSON schema, and how many alternatives a text has by them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import unquote

from ocrvl.validation import shorten

MAX_ALTERNATIVES: Final = 32
"""Alternatives of a schema: `anyOf` and `oneOf` add them, `allOf` multiplies them.

With 48 that are objects, llguidance 1.7.6 can give up while generating.
"""

Schema = Mapping[str, Any]

Found = Mapping[int, tuple[str, Schema]]
"""Path and schema of every schema in a schema, and of itself, by `id()`; of those that are objects."""


class References:
    """Follows references, and counts the alternatives that a text can be."""

    def __init__(self, schema: Schema, found: Found) -> None:
        self._schema = schema
        self._found = found
        self._counts: dict[int, int] = {}

    def check(self) -> None:
        """Raises `ValueError` for references that lead nowhere or in a circle, and for too many alternatives."""
        for _, schema in self._found.values():
            self._count(schema)

    def _count(self, schema: Schema | bool) -> int:
        """The number of alternatives of a schema, those of the schemas that it refers to among them."""
        if isinstance(schema, bool):
            return 1
        path, _ = self._found[id(schema)]
        if (known := self._counts.get(id(schema))) is not None:
            if known == 0:
                raise ValueError(f"{path}: refers to itself, with no property or item in between")
            return known
        self._counts[id(schema)] = 0
        # a chain of references is as deep as there are schemas: `map` keeps it to one frame of Python's stack each
        factors = list(map(self._count, schema.get("allOf", ())))
        factors.append(max(1, sum(map(self._count, schema.get("anyOf", ())))))
        factors.append(max(1, sum(map(self._count, schema.get("oneOf", ())))))
        if "$ref" in schema:
            factors.append(self._count(self._resolve(path, schema["$ref"])))
        alternatives = math.prod(factors)
        if alternatives > MAX_ALTERNATIVES:
            raise ValueError(f"{path}: comes to {alternatives} alternatives, at most {MAX_ALTERNATIVES} are taken")
        self._counts[id(schema)] = alternatives
        return alternatives

    def _resolve(self, path: str, reference: Any) -> Schema | bool:
        """The schema that a reference means, RFC 6901 inside the schema's own JSON."""
        # older dialects do not say what a reference may be
        if not isinstance(reference, str) or (reference != "#" and not reference.startswith("#/")):
            raise ValueError(f"{path}.$ref: {quote(reference)} is not in this schema: write #/$defs/ and a name")
        node: Any = self._schema
        for step in unquote(reference).split("/")[1:]:
            name = step.replace("~1", "/").replace("~0", "~")
            try:
                node = node[int(name) if isinstance(node, list) else name]
            except (LookupError, ValueError, TypeError):
                raise ValueError(f"{path}.$ref: {quote(reference)} not found") from None
        if isinstance(node, bool):
            return node
        if id(node) not in self._found:
            raise ValueError(f"{path}.$ref: {quote(reference)} is not a schema")
        return self._found[id(node)][1]


def quote(value: object) -> str:
    """A caller's own text in quotation marks, as far as a message repeats it."""
    return repr(shorten(value))
