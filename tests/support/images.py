"""Files that must be read and files that must be refused, for the tests of the decoder and of the server."""

from __future__ import annotations

import base64
import io
import struct
import zlib
from functools import lru_cache
from random import Random

import numpy as np
from PIL import Image

from training.nano.world import Look, World

TEXT = "Total 12.40"


def encode(image: Image.Image, format: str = "PNG", **options: object) -> bytes:  # noqa: A002 - Pillow's own name
    """An image as a file of that format."""
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


@lru_cache
def plain() -> Image.Image:
    """`TEXT` in pure black and white, RGB, so that every lossless mode can hold it."""
    image = World(Random(3), look=Look(wear=0)).line(TEXT, (168, 40)).image
    return image.convert("L").point(lambda level: 255 if level > 127 else 0).convert("RGB")


def lossless_files() -> dict[str, bytes]:
    """Files that hold `plain()` pixel for pixel once they are decoded, upright and on white."""
    rgb = plain()
    gray = rgb.convert("L")
    ink = gray.point(lambda level: 255 - level)
    black = Image.new("RGB", rgb.size)
    palette = rgb.convert("P", palette=Image.Palette.ADAPTIVE, colors=4)
    sixteen = Image.fromarray(np.asarray(gray).astype(np.uint16) * 257)
    png = encode(rgb)
    return {
        "PNG": png,
        "BMP": encode(rgb, "BMP"),
        "WebP": encode(rgb, "WEBP", lossless=True),
        "TIFF": encode(rgb, "TIFF", compression="tiff_lzw"),
        "grayscale": encode(gray),
        "1-bit": encode(gray.convert("1")),
        "1-bit fax TIFF": encode(gray.convert("1"), "TIFF", compression="group4"),
        "16-bit PNG": encode(sixteen),
        "16-bit TIFF": encode(sixteen, "TIFF"),
        "32-bit integer TIFF": encode(Image.fromarray(np.asarray(gray).astype(np.int32) * 257), "TIFF"),
        "float TIFF": encode(Image.fromarray(np.asarray(gray).astype(np.float32) / 255), "TIFF"),
        "palette": encode(palette),
        "palette with a transparent colour": encode(_transparent_palette(gray)),
        "transparent": encode(Image.merge("RGBA", (*black.split(), ink))),
        "transparent gray": encode(Image.merge("LA", (Image.new("L", rgb.size), ink))),
        "CMYK TIFF": encode(rgb.convert("CMYK"), "TIFF"),
        "EXIF-rotated": encode(rgb.transpose(Image.Transpose.ROTATE_90), exif=_orientation(6)),
        "EXIF-mirrored": encode(rgb.transpose(Image.Transpose.FLIP_LEFT_RIGHT), exif=_orientation(2)),
        "base64 text": base64.b64encode(png),
        "base64 text in lines": base64.encodebytes(png),
        "data URL": b"data:image/png;base64," + base64.b64encode(png),
        "base64 BMP": base64.b64encode(encode(rgb, "BMP")),
    }


def lossy_files() -> dict[str, bytes]:
    """Files that hold `plain()` nearly."""
    rgb = plain()
    return {
        "JPEG": encode(rgb, "JPEG", quality=95),
        "gray JPEG": encode(rgb.convert("L"), "JPEG", quality=95),
        "progressive JPEG": encode(rgb, "JPEG", quality=95, progressive=True),
        "CMYK JPEG": encode(rgb.convert("CMYK"), "JPEG", quality=95),
        "EXIF-rotated JPEG": encode(
            rgb.transpose(Image.Transpose.ROTATE_180), "JPEG", quality=95, exif=_orientation(3)
        ),
        "damaged EXIF": encode(rgb, "JPEG", quality=95, exif=_DAMAGED_EXIF),
    }


def multi_frame_files() -> dict[str, bytes]:
    """Files of three frames, the first of which is `plain()`."""
    rgb = plain()
    others = [Image.new("RGB", rgb.size, colour) for colour in ("red", "blue")]
    return {
        "TIFF of three pages": encode(rgb, "TIFF", save_all=True, append_images=others),
        "animated PNG": encode(rgb, "PNG", save_all=True, append_images=others),
        "animated WebP": encode(rgb, "WEBP", save_all=True, append_images=others, lossless=True),
    }


_DAMAGED_EXIF = b"Exif\0\0MM\0*\0\0\0\x08\0\x02" + b"".join(
    # an orientation, and a width of -2, which cannot be written back
    struct.pack(">HHII", tag, kind, 1, value)
    for tag, kind, value in ((0x0112, 3, 6 << 16), (0x0100, 9, 0xFFFFFFFE))
)


def tiny_files() -> dict[str, bytes]:
    """Crops that are smaller than one patch."""
    return {f"{width}x{height}": encode(Image.new("RGB", (width, height), "gray")) for width, height in _TINY}


_TINY = ((1, 1), (3, 2), (13, 27), (200, 1), (1, 200))


def bad_files() -> dict[str, tuple[bytes, str]]:
    """Files that are refused, each with a part of the reason."""
    noise = Image.fromarray(np.random.default_rng(5).integers(0, 255, (64, 64, 3), np.uint8))
    jpeg, png = encode(noise, "JPEG"), encode(noise)
    return {
        "no bytes": (b"", "it has no bytes"),
        "not an image": (b"hello world", "not an image in a format that is read (JPEG, PNG, WEBP, TIFF, BMP)"),
        "zeros": (bytes(1000), "not an image"),
        "a PDF": (b"%PDF-1.7 ...", "it looks like a PDF"),
        "a GIF": (encode(noise, "GIF"), "it looks like a GIF"),
        "a PPM, which Pillow could read": (encode(noise, "PPM"), "not an image"),
        "a truncated JPEG": (jpeg[: len(jpeg) // 2], "damaged JPEG"),
        "a JPEG's header alone": (jpeg[:20], ""),
        "a truncated PNG": (png[: len(png) // 2], "damaged PNG"),
        "a PNG with a broken block": (png[:60] + bytes(200) + png[260:], "PNG"),
        "more pixels promised than allowed": (_png_header(12_000, 12_000), "promises 12000x12000 pixels"),
        "too many pixels promised": (_png_header(30_000, 30_000), "promises 30000x30000 pixels, at most 100000000"),
        "far too many pixels promised": (_png_header(2**31 - 1, 2**31 - 1), "promises"),
        "a side that is too long": (_png_header(70_000, 10), "70000x10"),
        "too wide for its height": (encode(Image.new("RGB", (300, 1))), "aspect ratio is 300"),
        "too high for its width": (encode(Image.new("RGB", (10, 2100))), "aspect ratio is 210"),
        "broken base64": (b"iVBORw0KGgo!!!!", "begins as base64 text but is not"),
        "base64 of nothing that is read": (b"Qk" + base64.b64encode(b"hello")[2:], "not an image"),
    }


def _transparent_palette(gray: Image.Image) -> Image.Image:
    """Black ink on a transparent red."""
    image = gray.point(lambda level: 1 if level > 127 else 0).convert("P")
    image.putpalette([0, 0, 0, 255, 0, 0])
    image.info["transparency"] = 1
    return image


def _orientation(value: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = value
    return exif.tobytes()


def _png_header(width: int, height: int) -> bytes:
    """A PNG that promises a size and holds next to nothing."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(100))), (b"IEND", b""))
    )
