"""JPEG: the segments in front of the first scan (ITU-T T.81, annex B)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ocrvl.errors import InvalidArgument
from ocrvl.imaging.headers.common import Header

MAX_SEGMENTS: Final = 1000
"""Segments before the first scan. A large colour profile has a hundred, a depth map in XMP a few hundred; Pillow takes
a microsecond and 100 bytes for each, and four bytes are enough for one."""

MAX_STRAY_BYTES: Final = 65_536
"""Bytes between segments, which Pillow skips one by one."""

MAX_SCANS: Final = 100
"""Scans of a JPEG; a progressive one has about ten. Each goes over the whole image, and 95 bytes are enough for one:
a file of 64 MiB could keep a core busy for ten hours. The number is libtiff's (`TIFFjpeg`, since 4.0.8)."""

_PLAIN_SEGMENTS: Final = 64
_PLAIN_TABLE_BYTES: Final = 4096
"""Of quantization tables, of which eight of the largest are 1 KB, and between segments."""

_NONE: Final = (0x00, 0xFF)
"""What follows a byte of 0xFF that begins no segment."""

_FIRST: Final = 0xC0
_SCAN: Final = 0xDA
_TABLES: Final = 0xDB
_EXIF: Final = 0xE1
_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} | {0xDE}
"""Markers of frame headers, which hold the size."""

_LONE: Final = frozenset({0xC8, *range(0xD0, 0xDA), *range(0xF0, 0xFE)})
"""Markers without a length."""


def read_header(data: bytes) -> Header | None:
    """Its header; `None` where there is no scan."""
    sizes: list[tuple[int, int]] = []
    markers = tables = exif = stray = 0
    end = 2
    for marker, start, length in _segments(data):
        markers += 1
        stray += start - end
        end = start + 2 + length
        if marker in _FRAMES:
            sizes.append(_size(data, start))
        tables += length if marker == _TABLES else 0
        exif += marker == _EXIF and data.startswith(b"Exif\0\0", start + 4)
        if marker == _SCAN:
            break
    else:
        return None
    if not sizes:
        return None
    is_bounded = (
        markers <= _PLAIN_SEGMENTS and max(stray, tables) <= _PLAIN_TABLE_BYTES and exif <= 1 and len(sizes) == 1
    )
    # three components may each have a scan of its own, which goes over the image once in all
    passes = max(1, _count_scans(data) - 2)
    return Header("JPEG", max(sizes, key=lambda size: size[0] * size[1]), passes, is_bounded)


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """The segments as Pillow comes upon them: marker, where it stands, length of what follows it.

    They end before a marker that does not exist and at the end of the file; a scan's bytes are not skipped. Raises
    `InvalidArgument` where there are too many.
    """
    position = 2
    segments = stray = 0
    while (start := data.find(b"\xff", position)) >= 0:
        marker = data[start + 1]
        stray += start - position
        if marker in _NONE:
            stray += 1
            position = start + (2 if marker == 0 else 1)
        elif marker < _FIRST:
            return
        else:
            segments += 1
            length = 0 if marker in _LONE else max(2, int.from_bytes(data[start + 2 : start + 4], "big"))
            position = start + 2 + length
            yield marker, start, length
        if segments > MAX_SEGMENTS or stray > MAX_STRAY_BYTES:
            raise InvalidArgument(
                f"it is a JPEG with more than {MAX_SEGMENTS} segments, or {MAX_STRAY_BYTES} bytes between them, before "
                "its image: save it again"
            )


def _size(data: bytes, start: int) -> tuple[int, int]:
    height, width = (int.from_bytes(data[start + at : start + at + 2], "big") for at in (5, 7))
    return width, height


def _count_scans(data: bytes) -> int:
    # inside a scan the mark cannot occur, and a thumbnail has one or a few
    scans = data.count(b"\xff\xda")
    if scans > MAX_SCANS:
        raise InvalidArgument(f"it is a JPEG of {scans} scans, at most {MAX_SCANS} are decoded: save it again")
    return scans
