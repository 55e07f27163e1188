"""What pydantic finds wrong with options, settings and requests, in words for whoever wrote them."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import ValidationError

_QUOTED_CHARACTERS: Final = 100
"""Of a caller's own text that a message repeats."""


@dataclass(frozen=True)
class FieldError:
    """One problem: where it is, pydantic's name for its kind, what is allowed instead, and what stood there."""

    path: tuple[str | int, ...]
    kind: str
    message: str
    value: Any

    @classmethod
    def from_details(cls, details: Mapping[str, Any]) -> FieldError:
        """From one of pydantic's `errors()`, which FastAPI's errors have as well."""
        message = details["msg"].removeprefix("Value error, ")
        return cls(tuple(details["loc"]), details["type"], message, details.get("input"))

    @property
    def key(self) -> str:
        """The path with points between its parts; empty where the problem is with the whole."""
        return ".".join(shorten(part) for part in self.path)

    @property
    def is_unknown_key(self) -> bool:
        """Whether the problem is that there is no such key."""
        return self.kind == "extra_forbidden"

    def describe(self, known: Collection[str] = (), *, with_value: bool = False) -> str:
        """The key and what is wrong with it; `known` are the keys that an unknown one is told.

        >>> FieldError(("a", 0), "int_type", "Input should be a valid integer", "x").describe(with_value=True)
        'a.0: "x": Input should be a valid integer'
        >>> FieldError(("b",), "extra_forbidden", "", 1).describe(["a"])
        "unknown key 'b' (known: a)"
        """
        if known and self.is_unknown_key:
            return f"unknown key {self.key!r} (known: {', '.join(known)})"
        parts = [self.key, json.dumps(self.value, ensure_ascii=False, default=repr) if with_value else "", self.message]
        return ": ".join(filter(None, parts))


def find_field_errors(error: ValidationError) -> list[FieldError]:
    """All problems of an object."""
    return [FieldError.from_details(details) for details in error.errors(include_url=False)]


def shorten(value: object) -> str:
    """A caller's own text, as far as a message repeats it."""
    text = str(value)
    return text if len(text) <= _QUOTED_CHARACTERS else f"{text[:_QUOTED_CHARACTERS]}…"
