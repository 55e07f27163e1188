"""TIFF: its directories (Adobe, TIFF 6.0, section 2; BigTIFF, where counts and places have eight bytes)."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ocrvl.errors import InvalidArgument
from ocrvl.imaging.headers.common import Header

MAX_FRAMES: Final = 10_000
"""Pages that are counted."""

MAX_TAGS: Final = 1000
"""Tags of one directory; a camera's raw files have a hundred and fifty."""

MAX_BLOCKS: Final = 100_000
"""Strips or tiles of a page. Pillow makes an object of 500 bytes of each while it opens the file, in five microseconds,
and four bytes are enough for one."""

_WIDTH, _HEIGHT, _STRIPS, _TILES = 256, 257, 273, 324
_KIND_BYTES: Final[Mapping[int, int]] = dict(enumerate((1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 0, 0, 8, 8, 8), 1))
"""Bytes of one value, by the number of its kind."""


@dataclass(frozen=True)
class _Form:
    """How numbers are written in a file; the `struct` formats of a count of tags, of a tag and of a place."""

    count: struct.Struct
    tag: struct.Struct
    place: struct.Struct
    first: int
    """Where the place of the first directory stands."""

    @classmethod
    def of(cls, data: bytes) -> _Form:
        order = "<" if data[:2] == b"II" else ">"
        count, tag, place, first = ("Q", "HHQ8s", "Q", 8) if b"+" in data[2:4] else ("H", "HHI4s", "I", 4)
        return cls(struct.Struct(order + count), struct.Struct(order + tag), struct.Struct(order + place), first)


def read_header(data: bytes) -> Header | None:
    """The header of its first page; `None` where that has no size. Never bounded: tags may lead anywhere."""
    form = _Form.of(data)
    (offset,) = form.place.unpack_from(data, form.first)
    return _check_directory(data, form, offset)


def find_pages(data: bytes) -> list[int]:
    """Where the directories of its pages are, up to the first that is damaged, at most `MAX_FRAMES`."""
    form = _Form.of(data)
    pages: dict[int, None] = {}
    try:
        (offset,) = form.place.unpack_from(data, form.first)
        while offset and offset not in pages and len(pages) < MAX_FRAMES:
            tags, following = _tags(data, form, offset)
            if not {_WIDTH, _HEIGHT} <= {tag for tag, _, _, _ in tags}:
                break
            pages[offset] = None
            (offset,) = form.place.unpack_from(data, following)
    except (struct.error, InvalidArgument):
        pass
    return list(pages)


def at_page(data: bytes, offset: int) -> bytes:
    """The file with the page whose directory is at `offset` as its only one."""
    form = _Form.of(data)
    _, end = _tags(data, form, offset)
    # the place of the next page may be missing at the end of a file
    file = bytearray(data.ljust(end + form.place.size, b"\0"))
    form.place.pack_into(file, end, 0)
    form.place.pack_into(file, form.first, offset)
    return bytes(file)


def _tags(data: bytes, form: _Form, offset: int) -> tuple[list[tuple[int, int, int, bytes]], int]:
    """The tags of a directory, each with kind, count and value or place; and where it ends."""
    if offset > len(data):
        # nor is it a place that `struct` can take
        raise struct.error
    (count,) = form.count.unpack_from(data, offset)
    if count > MAX_TAGS:
        raise InvalidArgument(f"it is a TIFF with {count} tags in a directory, at most {MAX_TAGS} are read")
    start = offset + form.count.size
    end = start + count * form.tag.size
    if end > len(data):
        raise struct.error
    return list(form.tag.iter_unpack(data[start:end])), end


def _check_directory(data: bytes, form: _Form, offset: int) -> Header | None:
    tags, _ = _tags(data, form, offset)
    order = form.place.format[0]
    sides, blocks, named = {_WIDTH: 0, _HEIGHT: 0}, 0, 0
    for tag, kind, count, value in tags:
        size = count * _KIND_BYTES.get(kind, 0)
        named += size if size > len(value) else 0
        if tag in sides and kind in (3, 4):
            (number,) = struct.unpack_from(order + ("H" if kind == 3 else "I"), value)
            sides[tag] = max(sides[tag], number)
        elif tag in (_STRIPS, _TILES):
            blocks = max(blocks, count)
    if blocks > MAX_BLOCKS:
        raise InvalidArgument(f"it is a TIFF of {blocks} strips or tiles, at most {MAX_BLOCKS} are read: save it again")
    if named > len(data):
        raise InvalidArgument(f"it is a TIFF whose tags have {named} bytes in a file of {len(data)}")
    return Header("TIFF", (sides[_WIDTH], sides[_HEIGHT]), is_bounded=False) if all(sides.values()) else None
