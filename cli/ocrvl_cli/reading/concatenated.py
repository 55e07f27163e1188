"""Images one after another in one stream, as `pdftoppm` writes the pages of a document to a pipe."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final

_CHUNK: Final = struct.Struct(">I4s")
_PNG: Final = b"\x89PNG\r\n\x1a\n"
_JPEG: Final = b"\xff\xd8\xff"
_MULTI_IMAGE: Final = b"MPF\0"
"""CIPA DC-007: what follows the image is a part of it, a preview or a depth map, and nothing to be read."""


def split_images(data: bytes) -> list[bytes]:
    """The PNG, JPEG, BMP and WebP files that follow one another without a gap; anything else is one piece.

    What follows the end of an image and begins no other one stays with it, as does everything behind an image that is
    damaged.

    >>> png = bytes.fromhex("89504e470d0a1a0a 00000000 49454e44 ae426082")
    >>> [len(each) for each in split_images(png + png + b"more")], split_images(b"other")
    ([20, 24], [b'other'])
    """
    images: list[bytes] = []
    start = position = 0
    while (length := _length(data, position)) is not None and position + length < len(data):
        position += length
        if _measure_of(data, position) is not None:
            images.append(data[start:position])
            start = position
    return [*images, data[start:]]


def _length(data: bytes, start: int) -> int | None:
    """Bytes of the image that begins there; None where none does, or it has no end."""
    measure = _measure_of(data, start)
    try:
        end = measure(data, start) if measure else None
    except (struct.error, IndexError):
        return None
    return None if end is None or end <= start else end - start


def _measure_of(data: bytes, start: int) -> Callable[[bytes, int], int | None] | None:
    if data.startswith(_PNG, start):
        return _end_of_png
    if data.startswith(_JPEG, start):
        return _end_of_jpeg
    if data.startswith(b"RIFF", start) and data.startswith(b"WEBP", start + 8):
        return _end_of_webp
    # its reserved fields are 0, so that a text that begins with BM is not taken for one
    if data.startswith(b"BM", start) and data.startswith(bytes(4), start + 6):
        return _end_of_bmp
    return None


def _end_of_png(data: bytes, start: int) -> int:
    position = start + len(_PNG)
    while True:
        length, kind = _CHUNK.unpack_from(data, position)
        # length, kind and checksum
        position += 12 + int(length)
        if kind == b"IEND":
            return position


def _end_of_jpeg(data: bytes, start: int) -> int | None:
    position = start + 2
    while True:
        # entropy-coded bytes have a 0 behind each 0xff, or one of the eight restart markers; 0xff alone fills
        position = data.find(b"\xff", position)
        if position < 0:
            return None
        marker = data[position + 1]
        if marker == 0xD9:
            return position + 2
        if marker == 0xFF:
            position += 1
        elif marker in (0x00, 0x01) or 0xD0 <= marker <= 0xD8:
            position += 2
        else:
            (length,) = struct.unpack_from(">H", data, position + 2)
            if marker == 0xE2 and data.startswith(_MULTI_IMAGE, position + 4):
                return None
            position += 2 + length


def _end_of_webp(data: bytes, start: int) -> int:
    (length,) = struct.unpack_from("<I", data, start + 4)
    return int(start + 8 + length + length % 2)


def _end_of_bmp(data: bytes, start: int) -> int:
    (length,) = struct.unpack_from("<I", data, start + 2)
    return int(start + length)
