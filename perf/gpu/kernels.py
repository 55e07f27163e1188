"""GPU code for other GPUs taken out of a library that nvcc built: most of its bytes, none of which is ever run.

Such a library has one container ("fatbin") for each source file, with the same code for every kind of GPU: machine code
(cubin) and, for GPUs yet to come, PTX. The driver picks by what the entries' headers say, so the headers stay and only
the code of entries that it would not pick becomes zeros, which cost nothing once compressed. No offset changes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

_SECTION: Final = b".nv_fatbin"
_MAGIC: Final = 0xBA55ED50
_PTX: Final = 1
_CUBIN: Final = 2
_CONTAINER = struct.Struct("<IHHQ")
"""Magic, version, size of this header, size of the entries."""
_ENTRY = struct.Struct("<HHIQIIHHI")
"""Kind, version, size of this header, size of the code, four more, the compute capability as in `sm_90`."""


class UnknownFormat(Exception):
    """A library whose GPU code is not laid out as this module knows it."""


@dataclass(frozen=True)
class _Entry:
    kind: int
    architecture: int
    start: int
    size: int


def keep_kernels(library: bytes, architecture: int) -> bytes:
    """The library with the GPU code that a GPU of this compute capability (90 for Hopper) would run, and no other.

    Machine code of the capability itself, such as `sm_90` and `sm_90a`, is kept; where a container has none, its PTX
    of that capability and older ones. A library without GPU code comes back as it is. Raises `UnknownFormat`.
    """
    found = _find_section(library, _SECTION)
    if found is None:
        return library
    pruned = bytearray(library)
    for entries in _walk(library, *found):
        kept = [entry for entry in entries if entry.kind == _CUBIN and entry.architecture == architecture]
        kept = kept or [entry for entry in entries if entry.kind == _PTX and entry.architecture <= architecture]
        for entry in entries:
            if entry not in kept:
                pruned[entry.start : entry.start + entry.size] = bytes(entry.size)
    return bytes(pruned)


def _walk(library: bytes, start: int, size: int) -> Iterator[list[_Entry]]:
    """The entries of each container; they and their containers fill the section without a gap."""
    end = start + size
    while start < end:
        magic, _, header, content = _CONTAINER.unpack_from(library, start)
        if magic != _MAGIC:
            raise UnknownFormat(f"no container of GPU code at byte {start}")
        position, start = start + header, start + header + content
        entries = []
        while position < start:
            kind, _, header, code, *_, architecture = _ENTRY.unpack_from(library, position)
            entries.append(_Entry(kind, architecture, position + header, code))
            position += header + code
        if position != start or start > end:
            raise UnknownFormat(f"GPU code that ends at byte {position}, not at {start}")
        yield entries


def _find_section(library: bytes, name: bytes) -> tuple[int, int] | None:
    """Where in a 64-bit ELF file a section is, and its size."""
    if library[:5] != b"\x7fELF\x02":
        raise UnknownFormat("not a 64-bit ELF file")
    (table,) = struct.unpack_from("<Q", library, 0x28)
    size, count, names = struct.unpack_from("<HHH", library, 0x3A)
    sections = [struct.unpack_from("<IIQQQQ", library, table + number * size) for number in range(count)]
    for section in sections:
        label = sections[names][4] + section[0]
        if library[label : label + len(name) + 1] == name + b"\0":
            return section[4], section[5]
    return None
