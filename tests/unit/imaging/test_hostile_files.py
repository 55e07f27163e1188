"""`ocrvl.imaging` on files that are damaged, endless or odd: they are read or refused, in time and within memory."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from PIL import Image

from ocrvl.errors import InvalidArgument
from ocrvl.imaging.decode import ImageLimits, decode_image
from ocrvl.imaging.headers.jpeg import MAX_SCANS
from ocrvl.imaging.headers.tiff import MAX_FRAMES
from ocrvl.models.document.drawing import Drawers
from ocrvl.models.document.pages import open_pages
from stress.fuzz.bombs import jpeg_of_scans
from tests.support import images

LIMITS = ImageLimits()
_TAG = struct.Struct("<HHII")


def tiff(*directories: list[tuple[int, int]]) -> bytes:
    """A TIFF of 4x4 gray pixels that these directories share; each is tags and values, all 16-bit."""
    places = [8 + 16]
    for tags in directories:
        places.append(places[-1] + 2 + len(tags) * _TAG.size + 4)
    data = b"II*\0" + struct.pack("<I", places[0]) + bytes(16)
    for tags, following in zip(directories, [*places[1:-1], 0], strict=True):
        data += struct.pack("<H", len(tags)) + b"".join(_TAG.pack(tag, 3, 1, value) for tag, value in tags)
        data += struct.pack("<I", following)
    return data


DIRECTORY = [(256, 4), (257, 4), (258, 8), (259, 1), (262, 1), (273, 8), (279, 16)]


def test_an_image_whose_second_frame_is_damaged_is_read() -> None:
    image = decode_image(tiff(DIRECTORY, []), LIMITS)
    assert (image.pixels.shape, image.warning) == ((4, 4, 3), "")


def test_counting_the_frames_of_a_tiff_ends() -> None:
    data = tiff(*[DIRECTORY] * (MAX_FRAMES + 5))
    assert decode_image(data, LIMITS).warning == f"the first of its {MAX_FRAMES} frames was read"
    drawers = Drawers()
    pages = open_pages(data, 72, LIMITS, drawers)
    assert pages.count == MAX_FRAMES
    pages.close()
    drawers.close()


def test_a_jpeg_of_many_scans_is_refused_and_one_of_a_few_is_read() -> None:
    assert decode_image(jpeg_of_scans(MAX_SCANS), LIMITS).pixels.shape == (64, 64, 3)
    with pytest.raises(InvalidArgument, match=f"it is a JPEG of {MAX_SCANS + 1} scans, at most {MAX_SCANS}"):
        decode_image(jpeg_of_scans(MAX_SCANS + 1), LIMITS)


@pytest.mark.parametrize(("level", "shown"), [(70_000, 255), (-5, 0), (100, 100)])
def test_deep_gray_of_one_level_is_that_level(level: int, shown: int) -> None:
    data = images.encode(Image.fromarray(np.full((4, 4), level, np.int32)), "TIFF")
    assert np.unique(decode_image(data, LIMITS).pixels).tolist() == [shown]


def test_deep_gray_that_is_taller_than_a_band_is_scaled_as_a_whole() -> None:
    ramp = np.linspace(0, 65535, 1500, dtype=np.uint16)[:, None].repeat(1000, axis=1)
    buffer = io.BytesIO()
    Image.fromarray(ramp).save(buffer, "PNG")
    pixels = decode_image(buffer.getvalue(), LIMITS).pixels
    np.testing.assert_array_equal(pixels[:, 0, 0], np.rint(ramp[:, 0] / 257).astype(np.uint8))


def test_too_little_memory_is_not_the_image_s_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(_image: object) -> None:
        raise MemoryError

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", load)
    with pytest.raises(MemoryError):
        decode_image(images.encode(images.plain(), "BMP"), LIMITS)
