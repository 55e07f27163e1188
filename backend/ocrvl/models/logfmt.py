"""Lines for the server's log: keys and values that people and log collectors read alike."""

from __future__ import annotations

import json
from collections.abc import Mapping


def logfmt(event: str, fields: Mapping[str, object]) -> str:
    """One line, whatever the values are: the event and its fields, quoted where a reader would be misled.

    >>> logfmt("request", {"request_id": "page 7", "images": 2})
    'request request_id="page 7" images=2'
    """
    return " ".join([event, *(f"{key}={quote_value(value)}" for key, value in fields.items())])


def quote_value(value: object) -> str:
    """A value of logfmt: in quotation marks, escaped, unless it is one printable word."""
    text = str(value)
    return text if text.isprintable() and text and not set(text) & set(' "=') else json.dumps(text)
