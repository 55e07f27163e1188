"""Encoded bytes to an upright RGB picture; what can not be read is refused with the reason."""

from __future__ import annotations

import base64
import binascii
import io
import math
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import simplejpeg
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile

from ocrvl.errors import InvalidArgument

FORMATS: Final = ("JPEG", "PNG", "WEBP", "TIFF", "BMP")
"""Formats that are read, by Pillow's names; nothing else is even tried, whatever Pillow could do."""

MAX_FRAMES: Final = 10_000
"""Frames of a TIFF that are counted. Pillow compares the place of each with those of all before: 20,000 in 1.8 MB take
two seconds, and 64 MiB would take hours."""

MAX_SCANS: Final = 100
"""Scans of a JPEG; a progressive one has about ten. Each goes over the whole picture, and 95 bytes are enough for one:
a file of 64 MiB could keep a core busy for ten hours. The number is libtiff's (`TIFFjpeg`, since 4.0.8)."""

_SCAN_MARK: Final = b"\xff\xda"
_BAND_PIXELS: Final = 1 << 20

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
    b"JVBERi0": "PDF",
    b"data:image/": "data URL",
    b"data:application/pdf": "data URL",
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
    """An upright RGB picture: `pixels` is uint8 [height, width, 3]; `warning` says what was left out of the file.

    `size` is its width and height in the file, which `pixels` may have a half, a quarter or an eighth of.
    """

    pixels: npt.NDArray[np.uint8]
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
    data = unwrap_base64(data)
    image = _open(data)
    _check_header(image, limits)
    frames = count_frames(data, image)
    notes = [f"the first of its {frames} frames was read"] if frames > 1 else []
    size = pixels = None
    if isinstance(image, JpegImageFile):
        _check_scans(data)
        size = _scale(image, wanted_size)
        pixels = _decode_plain_jpeg(data, image)
    if pixels is None:
        pixels = _decode(image, notes)
    height, width, _ = pixels.shape
    return Picture(pixels, size or (width, height), "; ".join(notes))


def count_frames(data: bytes, image: Image.Image) -> int:
    """How many frames the opened file of `data` has, up to the first damaged one; at most `MAX_FRAMES` of a TIFF."""
    if image.format != "TIFF":
        return int(getattr(image, "n_frames", 1))
    frames = 1
    # one of its own, since the file that is read must stay at its first frame; after the last Pillow raises EOFError,
    # and for damaged ones TypeError, ValueError, struct.error and more
    with suppress(Exception), Image.open(io.BytesIO(data), formats=["TIFF"]) as walked:
        while frames < MAX_FRAMES:
            walked.seek(frames)
            frames += 1
    return frames


def _check_scans(data: bytes) -> None:
    # inside a scan the mark can not occur, and a thumbnail has one or a few
    if (scans := data.count(_SCAN_MARK)) > MAX_SCANS:
        raise InvalidArgument(f"it is a JPEG of {scans} scans, at most {MAX_SCANS} are decoded: save it again")


def _scale(image: JpegImageFile, wanted_size: Callable[[int, int], tuple[int, int]] | None) -> tuple[int, int]:
    """Have it decoded at the smallest scale that is enough; its whole upright size."""
    turned = _orientation(image) in _SWAPPED_SIDES
    size = image.size[::-1] if turned else image.size
    if wanted_size is not None:
        wanted = wanted_size(*size)
        image.draft(None, wanted[::-1] if turned else wanted)
    return size


def _orientation(image: Image.Image) -> int | None:
    """How the picture lies, as EXIF counts (1 is upright); `None` where its EXIF block is damaged."""
    try:
        orientation: int = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:
        return None
    return orientation


def _decode_plain_jpeg(data: bytes, image: JpegImageFile) -> npt.NDArray[np.uint8] | None:
    """A gray or RGB JPEG that lies upright, at the scale that `image` is set to; `None` where Pillow is wanted.

    The library is Pillow's own (libjpeg-turbo) and so are the pixels, without the copies that Pillow makes.
    """
    if image.mode not in ("L", "RGB") or _orientation(image) != 1:
        return None
    width, height = image.size
    try:
        pixels: npt.NDArray[np.uint8] = simplejpeg.decode_jpeg(data, "RGB", min_height=height, min_width=width)
    except ValueError:
        # Pillow reads some of what this is too strict for, and says of the rest what is wrong
        return None
    return pixels if pixels.shape == (height, width, 3) else None


def _decode(image: Image.Image, notes: list[str]) -> npt.NDArray[np.uint8]:
    """Any picture, by Pillow."""
    try:
        image.load()
    except MemoryError:
        raise
    except Exception as error:
        # Pillow's decoders raise OSError, ValueError, SyntaxError, struct.error, EOFError and more on damaged files
        raise InvalidArgument(f"it is a damaged {image.format}: {error or type(error).__name__}") from None
    if _orientation(image) != 1:
        try:
            image = ImageOps.exif_transpose(image)
        except Exception:
            # the picture itself is sound: reading it as it lies is more use than refusing it
            notes.append("its EXIF block is damaged, it was read as it lies")
    return np.array(to_rgb(image))


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
    values = np.asarray(image)
    low, high = float(values.min()), float(values.max())
    darkest, scale = 0.0, 1.0
    if image.mode.startswith("I;16") or (image.mode == "I" and 255 < high < 65536):
        scale = 1 / 257
    elif math.isfinite(low) and math.isfinite(high):
        if high > max(255, low):
            darkest, scale = low, 255 / (high - low)
        elif image.mode == "F" and high <= 1:
            scale = 255
    levels = np.empty(values.shape, np.uint8)
    # a band at a time: eight bytes a pixel, several times over, would be gigabytes for a picture that is let in
    rows = max(1, _BAND_PIXELS // values.shape[1])
    for top in range(0, len(values), rows):
        band = np.nan_to_num((values[top : top + rows].astype(np.float64) - darkest) * scale)
        levels[top : top + rows] = np.clip(np.rint(band), 0, 255)
    return Image.fromarray(levels).convert("RGB")


def unwrap_base64(data: bytes) -> bytes:
    """The bytes of a file that came as base64 text or as a data URL, else what came. Raises `InvalidArgument`."""
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
