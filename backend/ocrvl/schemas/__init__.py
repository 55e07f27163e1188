"""The published schemas of what is answered as JSON, by name and version."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

RECEIPT: Final = "receipt-1.0.json"
"""What `fields` and `receipt` answer."""


def read_schema(name: str) -> dict[str, Any]:
    """A schema of this package by its file's name."""
    schema: dict[str, Any] = json.loads((Path(__file__).parent / name).read_text("utf-8"))
    return schema
