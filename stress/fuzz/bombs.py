"""Images of more parts than they need: a few, to fuzz with, or so many that a decoder is kept busy by them."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Final

from PIL import Image

GRAY: Final = Image.new("L", (64, 48), 128)


def jpeg_of_scans(scans: int, side: int = 64) -> bytes:
    """A progressive JPEG whose last scan comes again and again; each goes over the whole image."""
    data = _encode(Image.new("L", (side, side), 128), "JPEG", progressive=True)
    last = data[data.rindex(b"\xff\xda") : -2]
    return data[:-2] + last * (scans - data.count(b"\xff\xda")) + data[-2:]


def jpeg_of(segments: int, segment: bytes = b"\xff\xec\0\x02") -> bytes:
    """A JPEG with as many more segments before its image."""
    data = _encode(GRAY, "JPEG")
    # behind JFIF's own, since a file begins with a mark and a segment
    return data[:20] + segment * segments + data[20:]


def chunk(kind: bytes, body: bytes = b"") -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_of(chunks: int, more: bytes = chunk(b"prVt")) -> bytes:
    """A PNG with as many more chunks before its image."""
    data = _encode(GRAY, "PNG")
    start = data.index(b"IDAT") - 4
    return data[:start] + more * chunks + data[start:]


def webp_of(chunks: int) -> bytes:
    """A WebP with as many empty chunks behind its image."""
    data = _encode(GRAY.convert("RGB"), "WEBP") + b"NONE\0\0\0\0" * chunks
    return data[:4] + struct.pack("<I", len(data) - 8) + data[8:]


def tiff_of(strips: int, *, tags: int = 0, form: str = "<") -> bytes:
    """A TIFF of 64x48 gray pixels with as many strips, and as many more tags, in classic form or (`+`) BigTIFF's."""
    order, is_big = form[0], form.endswith("+")
    first = 16 if is_big else 8
    entry = struct.Struct(order + ("HHQQ" if is_big else "HHII"))
    place = struct.Struct(order + ("Q" if is_big else "I"))
    count = struct.Struct(order + ("Q" if is_big else "H"))
    fields = [(256, 4, 1, 64), (257, 4, 1, 48), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1)]
    end = first + count.size + (len(fields) + 4 + tags) * entry.size + place.size
    fields += [(273, 4, strips, end), (277, 3, 1, 1), (278, 4, 1, 1), (279, 4, 1, 64 * 48)]
    fields += [(40_000 + number, 4, 1, 0) for number in range(tags)]

    def packed(tag: int, kind: int, many: int, value: int) -> bytes:
        # a short stands in the first bytes of its place, whatever the order
        inline = struct.pack(order + "H", value) if kind == 3 else struct.pack(order + "I", value)
        wide = place.pack(value) if many > 1 else inline.ljust(place.size, b"\0")
        return entry.pack(tag, kind, many, 0)[: -place.size] + wide

    head = {"<": b"II", ">": b"MM"}[order] + struct.pack(order + "H", 43 if is_big else 42)
    head += struct.pack(order + "HHQ", 8, 0, first) if is_big else place.pack(first)
    directory = count.pack(len(fields)) + b"".join(packed(*field) for field in fields) + place.pack(0)
    return head + directory + struct.pack(order + "I", end) * strips + bytes(64 * 48)


def bmp_of(width: int, height: int, body: bytes = b"") -> bytes:
    """A run-length BMP; by default each row is one pixel and an end of the row."""
    body = body or b"\x01\0\0\0" * height + b"\0\x01"
    start = 14 + 40 + 1024
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, len(body), 0, 0, 256, 0)
    return b"BM" + struct.pack("<IHHI", start + len(body), 0, 0, start) + header + bytes(1024) + body


def _encode(image: Image.Image, format: str, **options: object) -> bytes:  # noqa: A002 - Pillow's own name
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()
