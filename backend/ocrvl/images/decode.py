"""Encoded bytes to an upright RGB picture; what can not be read is refused with the reason."""

from __future__ import annotations

import base64
import binascii
import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile

from ocrvl.errors import InvalidArgument

FORMATS: Final = ("JPEG", "PNG", "WEBP", "TIFF", "BMP")
"""Formats that are read, by Pillow's names; nothing else is even tried, whatever Pillow could do."""

_SWAPPED_SIDES: Final = (5, 6, 7, 8)
"""EXIF orientations of a picture that lies on its side."""

_BASE64_HEADS: Final = {
    # how base64 text of each format's magic bytes begins; no format begins with these as raw bytes
    b"/9j/": "JPEG",
    b"iVBORw0KGg": "PNG",
    b"UklGR": "WEBP",
    b"SUkqA": "TIFF",
    b"TU0AK": "TIFF",
    b"Qk": "BMP",
    b"data:image/": "data URL",
}


@dataclass(frozen=True)
class PictureLimits:
    """What a picture may be before it is decoded: bytes as received, pixels as its header says, sides in pixels.

    `max_patch_bytes` bounds what all the pictures of a request may come to once they are cut: it is memory shared
    between processes, and a request can ask for large pictures by its own pixel limits.
    """

    max_bytes: int = 64 * 1024 * 1024
    max_pixels: int = 100_000_000
    max_side: int = 65_500
    max_patch_bytes: int = 512 * 1024 * 1024


@dataclass(frozen=True)
class Picture:
    """An upright picture: `image` in RGB; `warning` says what was left out of the file, empty where nothing was.

    `size` is its width and height in the file, which `image` may be a half, a quarter or an eighth of.
    """

    image: Image.Image
    size: tuple[int, int]
    warning: str = ""


def decode_picture(
    data: bytes, limits: PictureLimits, wanted_size: Callable[[int, int], tuple[int, int]] | None = None
) -> Picture:
    """Decode one picture, apply its EXIF orientation and bring it to 8-bit RGB; transparency goes onto white.

    `wanted_size` tells from the upright width and height which ones are enough: a JPEG is then decoded at the smallest
    scale that still has as many pixels (DCT scaling), which takes a fraction of the time.

    Raw bytes in one of `FORMATS`, or the same as base64 text (with or without a `data:` prefix). Of a file with
    several frames the first is read, which `warning` says. Raises `InvalidArgument` with the reason, before
    decoding where the header already tells.
    """
    if not data:
        raise InvalidArgument("it has no bytes")
    if len(data) > limits.max_bytes:
        raise InvalidArgument(f"it has {len(data)} bytes, at most {limits.max_bytes} are taken")
    data = _unwrap_base64(data)
    image = _open(data)
    _check_header(image, limits)
    size = _scale(image, wanted_size) if wanted_size is not None and isinstance(image, JpegImageFile) else None
    frames = getattr(image, "n_frames", 1)
    notes = [f"the first of its {frames} frames was read"] if frames > 1 else []
    try:
        image.load()
    except Exception as error:
        # Pillow's decoders raise OSError, ValueError, SyntaxError, struct.error, EOFError and more on damaged files
        raise InvalidArgument(f"it is a damaged {image.format}: {error or type(error).__name__}") from None
    try:
        image = ImageOps.exif_transpose(image)
    except Exception:
        # the picture itself is sound: reading it as it lies is more use than refusing it
        notes.append("its EXIF block is damaged, it was read as it lies")
    return Picture(to_rgb(image), size or image.size, "; ".join(notes))


def _scale(image: JpegImageFile, wanted_size: Callable[[int, int], tuple[int, int]]) -> tuple[int, int]:
    """Have it decoded at the smallest scale that is enough; its whole upright size."""
    try:
        turned = image.getexif().get(ExifTags.Base.Orientation) in _SWAPPED_SIDES
    except Exception:
        # its EXIF block is damaged: it is read as it lies
        turned = False
    size = image.size[::-1] if turned else image.size
    wanted = wanted_size(*size)
    image.draft(None, wanted[::-1] if turned else wanted)
    return size


def _open(data: bytes) -> Image.Image:
    try:
        with warnings.catch_warnings():
            # our own limit is checked right after this; Pillow's warning would only repeat it in the log
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            return Image.open(io.BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError:
        wanted = ", ".join(FORMATS)
        raise InvalidArgument(f"it is not a picture in a format that is read ({wanted}){_guess(data)}") from None
    except Image.DecompressionBombError:
        raise InvalidArgument("its header promises more pixels than can be read") from None
    except Exception as error:
        raise InvalidArgument(f"its header is damaged: {error or type(error).__name__}") from None


def _check_header(image: Image.Image, limits: PictureLimits) -> None:
    width, height = image.size
    if width * height > limits.max_pixels:
        raise InvalidArgument(f"its header promises {width}x{height} pixels, at most {limits.max_pixels} are decoded")
    if not min(width, height) > 0 or max(width, height) > limits.max_side:
        raise InvalidArgument(f"its sides are {width}x{height} pixels, each may be 1 to {limits.max_side}")


def to_rgb(image: Image.Image) -> Image.Image:
    """A picture of any mode in 8-bit RGB: deep gray scaled down, transparency on white."""
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode.startswith(("I", "F")):
        return _deep_gray_to_rgb(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")


def _deep_gray_to_rgb(image: Image.Image) -> Image.Image:
    """16-bit gray by its high byte; 32-bit and float gray, which have no fixed range, by their own range."""
    values = np.asarray(image).astype(np.float64)
    if image.mode.startswith("I;16") or (image.mode == "I" and 255 < values.max(initial=0) < 65536):
        levels = values / 257
    elif values.size and np.isfinite(values).all() and values.max() > 255:
        levels = (values - values.min()) * (255 / (values.max() - values.min()))
    elif image.mode == "F" and np.isfinite(values).all() and values.max(initial=0) <= 1:
        levels = values * 255
    else:
        levels = np.nan_to_num(values)
    return Image.fromarray(np.clip(np.rint(levels), 0, 255).astype(np.uint8)).convert("RGB")


def _unwrap_base64(data: bytes) -> bytes:
    kind = next((kind for head, kind in _BASE64_HEADS.items() if data.startswith(head)), None)
    if kind is None:
        return data
    if kind == "data URL":
        _, _, data = data.partition(b",")
    try:
        return base64.b64decode(bytes(data).translate(None, b" \r\n\t"), validate=True)
    except binascii.Error as error:
        raise InvalidArgument(f"it begins as base64 text but is not: {error}") from None


def _guess(data: bytes) -> str:
    """A hint for the formats that people send by mistake."""
    kinds = {b"%PDF": "a PDF", b"GIF8": "a GIF", b"<svg": "an SVG", b"<?xm": "XML", b"PK\x03\x04": "a ZIP archive"}
    kind = next((kind for magic, kind in kinds.items() if data.lstrip()[:4] == magic), None)
    if data[4:12] in (b"ftypheic", b"ftypavif", b"ftypmif1"):
        kind = "HEIC or AVIF"
    return f"; it looks like {kind}" if kind else ""
