"""Which format a file has, by its first bytes."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Final

from ocrvl.files import TIFF_PREFIXES
from ocrvl.imaging.headers import bmp, jpeg, png, tiff, webp
from ocrvl.imaging.headers.common import Header

_READERS: Final[Mapping[bytes, Callable[[bytes], Header | None]]] = {
    b"\xff\xd8\xff": jpeg.read_header,
    b"\x89PNG\r\n\x1a\n": png.read_header,
    b"RIFF": webp.read_header,
    b"BM": bmp.read_header,
    **dict.fromkeys(TIFF_PREFIXES, tiff.read_header),
}


def read_header(data: bytes) -> Header | None:
    """The header of an image file; `None` where it has none of the formats or is damaged, which a decoder reports.

    Raises `InvalidArgument` for what no honest file has.
    """
    for prefix, read in _READERS.items():
        if data.startswith(prefix):
            try:
                return read(data)
            except (struct.error, IndexError):
                return None
    return None
