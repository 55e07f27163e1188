"""The unit of a PDF's pages (`UserUnit`): PDFium does not tell it, but copies it with a page."""

from __future__ import annotations

import io
import re
import zlib
from typing import Any, Final

import pypdfium2

_KEY: Final = b"/UserUnit"
_UNIT: Final = re.compile(rb"/UserUnit ([0-9]{1,6}(?:\.[0-9]{1,6})?|\.[0-9]{1,6})")
_OBJECT_STREAM: Final = re.compile(rb"/ObjStm.{0,400}?stream\r?\n", re.DOTALL)
_INFLATED_BYTES: Final = 2**20
"""Of a stream of objects; writers put some hundred into one."""


def may_have_units(data: bytes) -> bool:
    """Whether any page of a PDF may have a unit of its own: what is encrypted cannot be looked into."""
    return any(key in data for key in (_KEY, b"/Encrypt")) or any(
        _KEY in _inflate(data[found.end() : found.end() + _INFLATED_BYTES]) for found in _OBJECT_STREAM.finditer(data)
    )


def read_unit(file: Any, index: int) -> float:
    """The unit of a page of pypdfium2's file in points: 1 where it has none, or none above 0 (ISO 32000-1, 7.7.3.3)."""
    copy = pypdfium2.PdfDocument.new()
    written = io.BytesIO()
    try:
        copy.import_pages(file, [index])
        copy.save(written)
    finally:
        copy.close()
    found = _UNIT.search(written.getvalue())
    return (float(found[1]) if found else 1.0) or 1.0


def _inflate(data: bytes) -> bytes:
    try:
        return zlib.decompressobj().decompress(data, _INFLATED_BYTES)
    except zlib.error:
        return b""
