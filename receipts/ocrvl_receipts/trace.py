"""W3C trace context: one trace from upload to result, a new parent at each step."""

from __future__ import annotations

import re
import secrets
from typing import Final

HEADER: Final = "traceparent"

_FORM: Final = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})")


def continue_trace(parent: str | None) -> str:
    """The `traceparent` of a step below `parent`; of a new trace where that is none, or not in the standard's form.

    >>> parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    >>> child = continue_trace(parent)
    >>> trace_id(child) == trace_id(parent), child == parent
    (True, False)
    """
    found = _FORM.fullmatch(parent or "")
    trace, flags = found.groups() if found else (secrets.token_hex(16), "01")
    return f"00-{trace}-{secrets.token_hex(8)}-{flags}"


def trace_id(parent: str) -> str:
    """The trace that a `traceparent` belongs to."""
    return parent.split("-")[1]
