"""WebP: its chunks (Google, WebP Container Specification)."""

from __future__ import annotations

import struct
from typing import Final

from ocrvl.errors import InvalidArgument
from ocrvl.imaging.headers.common import PLAIN_EXIF_BYTES, Header

MAX_CHUNKS: Final = 50_000
"""Chunks of a file, frames of an animation among them; eight bytes are enough for one."""

_PLAIN_CHUNKS: Final = 1000
_CHUNK: Final = struct.Struct("<4sI")
_IMAGES: Final = (b"VP8 ", b"VP8L", b"ALPH", b"ANMF", b"ICCP")


def read_header(data: bytes) -> Header | None:
    """Its header; `None` where it is another RIFF file or its first chunk is not one that has the size."""
    if data[8:12] != b"WEBP":
        return None
    position, chunks, other_bytes = 12, 0, 0
    while position + _CHUNK.size <= len(data):
        kind, length = _CHUNK.unpack_from(data, position)
        chunks += 1
        if chunks > MAX_CHUNKS:
            raise InvalidArgument(f"it is a WebP of more than {MAX_CHUNKS} chunks: save it again")
        other_bytes += length if kind not in _IMAGES else 0
        position += _CHUNK.size + length + length % 2
    size = _size(data)
    # an animation is put together on two canvases
    passes = 3 if data[12:16] == b"VP8X" and data[20] & 2 else 1
    is_bounded = chunks <= _PLAIN_CHUNKS and other_bytes <= PLAIN_EXIF_BYTES
    return size and Header("WEBP", size, passes, is_bounded)


def _size(data: bytes) -> tuple[int, int] | None:
    kind = data[12:16]
    if kind == b"VP8X":
        width, height = (int.from_bytes(data[at : at + 3], "little") + 1 for at in (24, 27))
        return width, height
    if kind == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    return None
