"""`ocrvl.images.decode`: what is read, and what is refused with which reason."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from ocrvl.errors import InvalidArgument
from ocrvl.images.decode import PictureLimits, decode_picture
from tests import pictures

LIMITS = PictureLimits()


@pytest.mark.parametrize("kind", pictures.lossless_files())
def test_every_lossless_kind_gives_the_same_upright_rgb_pixels(kind: str) -> None:
    picture = decode_picture(pictures.lossless_files()[kind], LIMITS)
    assert picture.image.mode == "RGB"
    assert picture.warning == ""
    np.testing.assert_array_equal(np.asarray(picture.image), np.asarray(pictures.plain()))


@pytest.mark.parametrize("kind", pictures.lossy_files())
def test_every_lossy_kind_gives_nearly_the_same_pixels(kind: str) -> None:
    picture = decode_picture(pictures.lossy_files()[kind], LIMITS)
    assert picture.image.size == pictures.plain().size
    difference = np.asarray(picture.image, np.int16) - np.asarray(pictures.plain(), np.int16)
    assert np.abs(difference).mean() < 12


def test_a_damaged_exif_block_is_told_not_fatal() -> None:
    picture = decode_picture(pictures.lossy_files()["damaged EXIF"], LIMITS)
    assert picture.warning == "its EXIF block is damaged, it was read as it lies"


@pytest.mark.parametrize("kind", pictures.multi_frame_files())
def test_of_several_frames_the_first_is_read_and_said(kind: str) -> None:
    picture = decode_picture(pictures.multi_frame_files()[kind], LIMITS)
    assert picture.warning == "the first of its 3 frames was read"
    np.testing.assert_array_equal(np.asarray(picture.image), np.asarray(pictures.plain()))


@pytest.mark.parametrize("kind", [kind for kind, (_, reason) in pictures.bad_files().items() if "aspect" not in reason])
def test_bad_files_are_refused_with_the_reason(kind: str) -> None:
    data, reason = pictures.bad_files()[kind]
    with pytest.raises(InvalidArgument) as caught:
        decode_picture(data, LIMITS)
    assert reason in str(caught.value)


def test_a_file_over_the_limit_of_bytes_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="it has 200 bytes, at most 100 are taken"):
        decode_picture(bytes(200), PictureLimits(max_bytes=100))


def test_partial_transparency_is_blended_with_white() -> None:
    half = Image.new("RGBA", (4, 4), (0, 0, 0, 128))
    picture = decode_picture(pictures.encode(half), LIMITS)
    assert set(np.asarray(picture.image).ravel().tolist()) == {127}
