"""BMP: its header, and what run lengths may come to (Microsoft, Bitmap Storage)."""

from __future__ import annotations

import struct
from typing import Final

from ocrvl.errors import InvalidArgument
from ocrvl.imaging.headers.common import Header

MAX_RUN_LENGTH_PIXELS: Final = 16_000_000
"""Pixels of a run-length BMP. Two bytes may stand for any number of them, and Pillow makes them one by one, at 100 ns
each: a seventh of its time for 100 megapixels."""

_RUN_LENGTHS: Final = (1, 2)
"""`BI_RLE8`, `BI_RLE4`."""

_OLDEST: Final = 12
"""Bytes of OS/2's header, whose sides are 16-bit and which knows no compression."""


def read_header(data: bytes) -> Header | None:
    """Its header; `None` where its kind is not known."""
    (header_bytes,) = struct.unpack_from("<I", data, 14)
    if header_bytes == _OLDEST:
        return Header("BMP", struct.unpack_from("<HH", data, 18))
    width, height, _, _, compression = struct.unpack_from("<iiHHI", data, 18)
    size = abs(width), abs(height)
    if compression not in _RUN_LENGTHS:
        return Header("BMP", size)
    pixels = size[0] * size[1]
    # two bytes a pixel and the ends of the rows are the most that any writer needs
    if pixels > MAX_RUN_LENGTH_PIXELS or len(data) > 65_536 + 4 * (pixels + size[1]):
        raise InvalidArgument(
            f"it is a run-length BMP of {size[0]}x{size[1]} pixels in {len(data)} bytes, at most "
            f"{MAX_RUN_LENGTH_PIXELS} pixels are decoded, and no more bytes than they take: save it as PNG"
        )
    return Header("BMP", size, is_bounded=False)
