"""PNG: its chunks (W3C, Portable Network Graphics, 5)."""

from __future__ import annotations

import struct
from typing import Final

from ocrvl.errors import InvalidArgument
from ocrvl.imaging.headers.common import PLAIN_EXIF_BYTES, Header

MAX_CHUNKS: Final = 50_000
"""Chunks of a file. Writers cut 64 MiB of image into 8,192 or fewer; Pillow takes two microseconds for each, and
twelve bytes are enough for one."""

_PLAIN_OTHER: Final = 1000
"""Chunks that are not part of the image."""

_PACKED: Final = (b"zTXt", b"iTXt", b"iCCP")
"""Chunks whose text may be compressed, each up to 1 MiB when it is unpacked (Pillow's `MAX_TEXT_CHUNK`)."""

_PLAIN_PACKED: Final = 8
_CHUNK: Final = struct.Struct(">I4s")
_HEADER: Final = struct.Struct(">IIBBBBB")


def read_header(data: bytes) -> Header | None:
    """Its header; `None` where there is none."""
    position, chunks, other, other_bytes, packed = 8, 0, 0, 0, 0
    fields: tuple[int, ...] | None = None
    while position + _CHUNK.size <= len(data):
        length, kind = _CHUNK.unpack_from(data, position)
        chunks += 1
        if chunks > MAX_CHUNKS:
            raise InvalidArgument(f"it is a PNG of more than {MAX_CHUNKS} chunks: save it again")
        if kind == b"IHDR":
            if fields is not None:
                raise InvalidArgument("it is a PNG with two headers")
            fields = _HEADER.unpack_from(data, position + _CHUNK.size)
        elif kind == b"IEND":
            break
        elif kind != b"IDAT":
            other += 1
            other_bytes += length
            packed += kind in _PACKED
        position += _CHUNK.size + length + 4
    if fields is None:
        return None
    width, height, depth, colour, _, _, interlace = fields
    passes = 1 + (depth == 16) + (colour >= 4) + (interlace != 0)
    is_bounded = other <= _PLAIN_OTHER and other_bytes <= PLAIN_EXIF_BYTES and packed <= _PLAIN_PACKED
    return Header("PNG", (width, height), passes, is_bounded)
