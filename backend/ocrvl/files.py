"""Files as callers send them: which kind one is by how it begins, and base64 text as other tools write it.

The one place for this: models, gateway and command line all take files. Its imports are light.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import unquote_to_bytes

try:
    # it comes with the gateway, which decodes on its event loop: a thirtieth of the time
    import pybase64 as base64
except ImportError:
    import base64  # type: ignore[no-redef]

PDF_HEAD_BYTES: Final = 1024
"""Where a PDF's `%PDF-` may begin (ISO 32000-1, implementation note 13): byte order marks, blank lines, the head of a
form's part may stand before it."""

TIFF_PREFIXES: Final = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"MM*\0", b"II\0*")
"""Little and big endian, BigTIFF, and the two mistakes that Pillow forgives."""

_IMAGES: Final[Mapping[bytes, str]] = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG": "PNG",
    b"RIFF": "WebP",
    **dict.fromkeys(TIFF_PREFIXES, "TIFF"),
}
"""How images begin, by bytes that no text begins with; BMP's two letters are looked for last."""

_OTHERS: Final[Mapping[bytes, str]] = {
    b"GIF8": "a GIF",
    # Pillow takes it for a TIFF and does not read it; save it in the other byte order or as another format
    b"MM\0+": "a big-endian BigTIFF",
    b"\0\0\0\x0cjP  ": "a JPEG 2000",
    b"\xff\x0a": "a JPEG XL",
    b"PK\x03\x04": "a ZIP archive, as docx, xlsx and odt are",
    b"\xd0\xcf\x11\xe0": "an old Office document",
    b"%!PS": "PostScript",
    b"<svg": "an SVG",
    b"<!doctype": "HTML",
    b"<html": "HTML",
    b"<?xml": "XML",
    b"\x1f\x8b": "gzip",
    b"{\\rtf": "RTF",
}
"""What people send by mistake, in lower case where it is text."""

_HEAD_CHARACTERS: Final = 2048
"""Of base64 text: with its line breaks enough for the bytes in which a PDF's header is looked for."""

_ALPHABET: Final = re.compile(rb"[A-Za-z0-9+/]*")
_BLANKS: Final = b" \t\r\n\f\v"
_URL_SAFE: Final = bytes.maketrans(b"-_", b"+/")
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


def is_pdf(data: bytes) -> bool:
    """Whether it is a PDF, and not an image that speaks of one."""
    return b"%PDF-" in data[:PDF_HEAD_BYTES] and not data.startswith(tuple(_IMAGES))


def kind_of(data: bytes) -> str:
    """`PDF`, or the format of an image; empty where it begins like none."""
    for prefix, kind in _IMAGES.items():
        if data.startswith(prefix):
            return kind
    if is_pdf(data):
        return "PDF"
    return "BMP" if data.startswith(b"BM") else ""


def describe_unknown(data: bytes) -> str:
    """A hint for what people send by mistake, to be put behind an error; empty where there is none.

    >>> describe_unknown(b"GIF89a")
    '; it looks like a GIF'
    """
    head = data[:64].removeprefix(_BYTE_ORDER_MARK).lstrip(_BLANKS)
    kind = next((kind for magic, kind in _OTHERS.items() if head[: len(magic)].lower() == magic.lower()), None)
    if head[4:8] == b"ftyp":
        kind = "HEIC or AVIF" if head[8:12] in (b"heic", b"heix", b"mif1", b"msf1", b"avif") else "a video"
    if kind is None and is_pdf(data):
        kind = "a PDF, which the model `document` reads"
    return f"; it looks like {kind}" if kind else ""


def kind_of_sent(data: bytes) -> str:
    """As `kind_of`, of a file that may come as base64 text or as a data URL."""
    return kind_of(data) if _is_file(data) else kind_of(_decode_head(data))


def decode_file(data: bytes) -> bytes:
    """The bytes of a file that came as base64 text or as a data URL, else what came.

    Raises `ValueError` for text that begins as base64 of a known file and then is not.
    """
    if _is_file(data) or not (_is_data_url(data) or kind_of(_decode_head(data))):
        return data
    try:
        return decode_base64(data)
    except ValueError as error:
        raise ValueError(f"it begins as base64 text but is not: {error}") from None


def _is_file(data: bytes) -> bool:
    # BMP's two letters begin texts as well, but those have no zeros
    return kind_of(data) not in ("", "BMP") or (data.startswith(b"BM") and b"\0" in data[:64])


def _is_data_url(data: bytes) -> bool:
    return bytes(data[:64]).removeprefix(_BYTE_ORDER_MARK).lstrip(_BLANKS)[:5].lower() == b"data:"


def _decode_head(data: bytes) -> bytes:
    """The first bytes that base64 text, or a data URL, stands for; none where it is no such text."""
    text = bytes(data[:_HEAD_CHARACTERS]).removeprefix(_BYTE_ORDER_MARK).lstrip(_BLANKS)
    if _is_data_url(text):
        text = unquote_to_bytes(text.partition(b",")[2])
    match = _ALPHABET.match(text.translate(_URL_SAFE, _BLANKS))
    head = match[0] if match else b""
    return binascii.a2b_base64(head[: len(head) // 4 * 4])


def decode_base64(text: bytes) -> bytes:
    """The bytes of base64 text, or of a data URL. Raises `ValueError` for anything else.

    With line breaks or without, with the characters of either alphabet (RFC 4648, 4 and 5), padded or not.

    >>> decode_base64(b"data:image/png;base64,iVBO Rw0=") == decode_base64(b"iVBORw0") == bytes.fromhex("89504e470d")
    True
    """
    text = bytes(text).removeprefix(_BYTE_ORDER_MARK).lstrip(_BLANKS)
    if text[:5].lower() == b"data:":
        head, comma, text = text.partition(b",")
        if not comma or not head.rstrip(_BLANKS).lower().endswith(b";base64"):
            raise ValueError("a data URL is data:image/png;base64, and base64 text")
        if b"%" in text:
            text = unquote_to_bytes(text)
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        # as most do not write it
        text = text.translate(_URL_SAFE, _BLANKS).rstrip(b"=")
        return base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)
