"""Encoded bytes to an upright RGB image; what cannot be read is refused with the reason."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt
import simplejpeg
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile

from ocrvl.errors import InvalidArgument
from ocrvl.files import decode_file, describe_unknown
from ocrvl.imaging.headers import Header, read_header, tiff

Pixels = npt.NDArray[np.uint8]
TargetSize = Callable[[int, int], tuple[int, int]]

FORMATS: Final = ("JPEG", "PNG", "WEBP", "TIFF", "BMP")
"""Formats that are read, by Pillow's names; no other is tried, whatever Pillow could do."""

_BAND_PIXELS: Final = 1 << 20

_SWAPPED_SIDES: Final = (5, 6, 7, 8)
"""EXIF orientations of an image that lies on its side."""


@dataclass(frozen=True)
class ImageLimits:
    """What an image may be before it is decoded: bytes as received, pixels as its header says, sides in pixels.

    `max_seconds` is the processor time that decoding it may take, `max_request_seconds` that of all the images of a
    request. `max_patch_bytes` bounds what all the images of a
    request may come to once they are cut: it is memory shared between processes, and a request can ask for large
    images by its own pixel limits.
    """

    max_bytes: int = 64 * 1024 * 1024
    max_pixels: int = 100_000_000
    max_side: int = 65_500
    max_seconds: float = 10.0
    max_request_seconds: float = 30.0
    max_patch_bytes: int = 192 * 1024 * 1024


@dataclass(frozen=True)
class DecodedImage:
    """An upright RGB image: `pixels` is uint8 [height, width, 3]; `warning` says what was left out of the file.

    `frames` is how many the file has, the first of which this is.

    `size` is its width and height in the file, which `pixels` may have a half, a quarter or an eighth of.
    """

    pixels: Pixels
    size: tuple[int, int]
    warning: str = ""
    frames: int = 1


class IsolatedDecoder(Protocol):
    """Decodes an image whose cost is not known beforehand, in a process that can be ended."""

    def __call__(self, data: bytes, limits: ImageLimits, target_size: TargetSize | None) -> DecodedImage:
        """As `ImageFile`. Raises `InvalidArgument`, also past `limits.max_seconds`."""


def decode_image(
    data: bytes, limits: ImageLimits, target_size: TargetSize | None = None, isolated: IsolatedDecoder | None = None
) -> DecodedImage:
    """Decode one image, apply its EXIF orientation and bring it to 8-bit RGB; transparency goes onto white.

    `target_size` returns, for the upright width and height, those that are enough: a JPEG is then decoded at the
    smallest scale that still has as many pixels (DCT scaling), which takes a fraction of the time. `isolated` decodes
    what is not plain (`ocrvl.imaging.headers`); without it everything is decoded here, however long it takes.

    Raw bytes in one of `FORMATS`, or the same as base64 text (with or without a `data:` prefix). Of a file with
    several frames the first is read, which `warning` says. Raises `InvalidArgument` with the reason, before
    decoding where the header is enough for it.
    """
    if not data:
        raise InvalidArgument("it has no bytes")
    if len(data) > limits.max_bytes:
        raise InvalidArgument(f"it has {len(data)} bytes, at most {limits.max_bytes} are taken")
    try:
        data = decode_file(data)
    except ValueError as error:
        raise InvalidArgument(str(error)) from None
    header = check_header(data, limits)
    if isolated is not None and header is not None and not header.is_plain:
        return isolated(data, limits, target_size)
    return ImageFile(data, limits).decode(target_size)


def check_header(data: bytes, limits: ImageLimits) -> Header | None:
    """A file's header, `None` where it has none that is known. Raises `InvalidArgument` where it promises too much."""
    header = read_header(data)
    if header is not None:
        _check_size(header.size, limits)
    return header


class ImageFile:
    """An image file that has been opened, but not decoded. Raises `InvalidArgument` with the reason.

    `data` is raw bytes. `size` is the upright width and height that `target_size` is called with, `None` for formats
    that are always decoded whole.
    """

    def __init__(self, data: bytes, limits: ImageLimits) -> None:
        self._data = data
        self._image = _open(data)
        _check_size(self._image.size, limits)
        self.size: tuple[int, int] | None = None
        if isinstance(self._image, JpegImageFile):
            self._orientation = _orientation(self._image)
            self.size = self._upright(self._image.size)

    def decode(self, target_size: TargetSize | None = None) -> DecodedImage:
        """Its pixels, see `decode_image`."""
        frames = _count_frames(self._data, self._image)
        notes = [f"the first of its {frames} frames was read"] if frames > 1 else []
        pixels = None
        if isinstance(self._image, JpegImageFile):
            if target_size is not None and self.size is not None:
                self._image.draft(None, self._upright(target_size(*self.size)))
            if self._orientation == 1:
                pixels = _decode_plain_jpeg(self._data, self._image)
        if pixels is None:
            pixels = _decode(self._image, notes)
        height, width, _ = pixels.shape
        return DecodedImage(pixels, self.size or (width, height), "; ".join(notes), frames)

    def _upright(self, size: tuple[int, int]) -> tuple[int, int]:
        """A size in the file as the upright size, and the reverse."""
        return size[::-1] if self._orientation in _SWAPPED_SIDES else size


def _count_frames(data: bytes, image: Image.Image) -> int:
    """How many frames the opened file of `data` has, up to the first damaged one; at most `MAX_FRAMES` of a TIFF."""
    if image.format == "TIFF":
        return len(tiff.find_pages(data))
    # the others of a phone's or a camera's JPEG are the same image smaller, or how far away its parts are
    return 1 if image.format == "MPO" else int(getattr(image, "n_frames", 1))


def _orientation(image: Image.Image) -> int | None:
    """How the image lies, as EXIF counts (1 is upright); `None` where its EXIF block is damaged."""
    try:
        orientation: int = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:
        return None
    return orientation


def _decode_plain_jpeg(data: bytes, image: JpegImageFile) -> Pixels | None:
    """A gray or RGB JPEG at the scale that `image` is set to; `None` where Pillow has to decode it.

    The library is Pillow's own (libjpeg-turbo) and so are the pixels, without the copies that Pillow makes.
    """
    if image.mode not in ("L", "RGB"):
        return None
    width, height = image.size
    try:
        pixels: Pixels = simplejpeg.decode_jpeg(data, "RGB", min_height=height, min_width=width)
    except ValueError:
        # Pillow reads some of what this is too strict for, and says of the rest what is wrong
        return None
    return pixels if pixels.shape == (height, width, 3) else None


def _decode(image: Image.Image, notes: list[str]) -> Pixels:
    """Any image, by Pillow."""
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
            # the image itself is sound: reading it as it lies is more use than refusing it
            notes.append("its EXIF block is damaged, it was read as it lies")
    return to_pixels(image)


def _open(data: bytes) -> Image.Image:
    try:
        with warnings.catch_warnings():
            # our own limit is checked right after this; Pillow's warning would only repeat it in the log
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            return Image.open(io.BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError:
        formats = ", ".join(FORMATS)
        raise InvalidArgument(
            f"it is not an image in a format that is read ({formats}){describe_unknown(data)}"
        ) from None
    except Image.DecompressionBombError:
        raise InvalidArgument("its header promises more pixels than can be read") from None
    except MemoryError:
        raise
    except Exception as error:
        raise InvalidArgument(f"its header is damaged: {error or type(error).__name__}") from None


def _check_size(size: tuple[int, int], limits: ImageLimits) -> None:
    width, height = size
    if width * height > limits.max_pixels:
        raise InvalidArgument(f"its header promises {width}x{height} pixels, at most {limits.max_pixels} are decoded")
    if not min(width, height) > 0 or max(width, height) > limits.max_side:
        raise InvalidArgument(f"its sides are {width}x{height} pixels, each may be 1 to {limits.max_side}")


def to_pixels(image: Image.Image) -> Pixels:
    """An image of any mode in 8-bit RGB, uint8 [height, width, 3]: deep gray scaled down, transparency on white.

    A band at a time: whole images, one for each step on the way, would be gigabytes for an image that is let in.
    """
    width, height = image.size
    if image.mode.startswith(("I", "F")):
        return np.repeat(_deep_gray_levels(np.asarray(image))[..., None], 3, axis=2)
    pixels = np.empty((height, width, 3), np.uint8)
    rows = max(1, _BAND_PIXELS // width)
    for top in range(0, height, rows):
        bottom = min(height, top + rows)
        pixels[top:bottom] = np.asarray(_to_rgb(image.crop((0, top, width, bottom))))
    return pixels


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")


def _deep_gray_levels(values: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """16-bit gray by its high byte; 32-bit and float gray, which have no fixed range, by their own range."""
    low, high = float(values.min()), float(values.max())
    darkest, scale = 0.0, 1.0
    if values.dtype.itemsize == 2 or (values.dtype.kind == "i" and 255 < high < 65536):
        scale = 1 / 257
    elif math.isfinite(low) and math.isfinite(high):
        if high > max(255, low):
            darkest, scale = low, 255 / (high - low)
        elif values.dtype.kind == "f" and high <= 1:
            scale = 255
    levels = np.empty(values.shape, np.uint8)
    rows = max(1, _BAND_PIXELS // values.shape[1])
    for top in range(0, len(values), rows):
        band = np.nan_to_num((values[top : top + rows].astype(np.float64) - darkest) * scale)
        levels[top : top + rows] = np.clip(np.rint(band), 0, 255)
    return levels
