"""`ocrvl.imaging.decode`: what is read, and what is refused with which reason."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image

from ocrvl.errors import InvalidArgument
from ocrvl.imaging.decode import DecodedImage, ImageLimits, decode_image
from ocrvl.imaging.patches import resize
from stress.fuzz.bombs import tiff_of
from tests.support import images

LIMITS = ImageLimits()


@pytest.mark.parametrize("kind", images.lossless_files())
def test_every_lossless_kind_gives_the_same_upright_rgb_pixels(kind: str) -> None:
    image = decode_image(images.lossless_files()[kind], LIMITS)
    assert image.pixels.shape[2] == 3
    assert image.warning == ""
    np.testing.assert_array_equal(image.pixels, np.asarray(images.plain()))


@pytest.mark.parametrize("kind", images.lossy_files())
def test_every_lossy_kind_gives_nearly_the_same_pixels(kind: str) -> None:
    image = decode_image(images.lossy_files()[kind], LIMITS)
    assert _size(image) == images.plain().size
    difference = np.asarray(image.pixels, np.int16) - np.asarray(images.plain(), np.int16)
    assert np.abs(difference).mean() < 12


def test_a_damaged_exif_block_is_a_warning_and_not_fatal() -> None:
    image = decode_image(images.lossy_files()["damaged EXIF"], LIMITS)
    assert image.warning == "its EXIF block is damaged, it was read as it lies"


@pytest.mark.parametrize("kind", images.multi_frame_files())
def test_of_several_frames_the_first_is_read_and_said(kind: str) -> None:
    image = decode_image(images.multi_frame_files()[kind], LIMITS)
    assert image.warning == "the first of its 3 frames was read"
    assert image.frames == 3
    np.testing.assert_array_equal(image.pixels, np.asarray(images.plain()))


@pytest.mark.parametrize("kind", [kind for kind, (_, reason) in images.bad_files().items() if "aspect" not in reason])
def test_bad_files_are_refused_with_the_reason(kind: str) -> None:
    data, reason = images.bad_files()[kind]
    with pytest.raises(InvalidArgument) as caught:
        decode_image(data, LIMITS)
    assert reason in str(caught.value)


def test_a_file_over_the_limit_of_bytes_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="it has 200 bytes, at most 100 are taken"):
        decode_image(bytes(200), ImageLimits(max_bytes=100))


def test_partial_transparency_is_blended_with_white() -> None:
    half = Image.new("RGBA", (4, 4), (0, 0, 0, 128))
    image = decode_image(images.encode(half), LIMITS)
    assert set(image.pixels.ravel().tolist()) == {127}


@pytest.mark.parametrize("options", [{"subsampling": 0}, {"subsampling": 2}, {"progressive": True}], ids=str)
@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("wanted", [(1203, 901), (500, 400), (300, 220), (7, 7)], ids="{0[0]}x{0[1]}".format)
def test_a_jpeg_has_the_pixels_that_pillow_gives_it(
    mode: str, options: dict[str, Any], wanted: tuple[int, int]
) -> None:
    data = images.encode(Image.open(io.BytesIO(jpeg(1203, 901))).convert(mode), "JPEG", quality=90, **options)
    reference = Image.open(io.BytesIO(data))
    reference.draft(None, wanted)
    image = decode_image(data, LIMITS, lambda width, height: wanted)
    np.testing.assert_array_equal(image.pixels, np.asarray(reference.convert("RGB")))


def test_a_jpeg_with_bytes_to_spare_is_read() -> None:
    """libjpeg-turbo warns of these, and Pillow lets them pass."""
    data = images.encode(images.plain(), "JPEG", quality=95)
    end = data.rindex(b"\xff\xd9")
    spared = data[:end] + bytes(3) + data[end:]
    np.testing.assert_array_equal(decode_image(spared, LIMITS).pixels, decode_image(data, LIMITS).pixels)


def _size(image: DecodedImage) -> tuple[int, int]:
    height, width, _ = image.pixels.shape
    return width, height


def jpeg(width: int, height: int, orientation: int = 1) -> bytes:
    """A JPEG file of smooth colours whose sides are known."""
    small = Image.fromarray(np.random.default_rng(0).integers(0, 256, (8, 6, 3), np.uint8))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    file = io.BytesIO()
    small.resize((width, height), Image.Resampling.BICUBIC).save(file, "JPEG", quality=95, exif=exif)
    return file.getvalue()


@pytest.mark.parametrize(
    ("wanted", "decoded"),
    [
        ((600, 800), (600, 800)),
        ((301, 400), (600, 800)),
        ((300, 400), (300, 400)),
        ((200, 300), (300, 400)),
        ((140, 190), (150, 200)),
        ((10, 10), (75, 100)),
        ((1200, 1600), (600, 800)),
    ],
)
def test_a_jpeg_is_decoded_no_smaller_than_its_target(wanted: tuple[int, int], decoded: tuple[int, int]) -> None:
    image = decode_image(jpeg(600, 800), LIMITS, lambda width, height: wanted)
    assert (_size(image), image.size) == (decoded, (600, 800))
    turned = decode_image(jpeg(800, 600, orientation=6), LIMITS, lambda width, height: wanted)
    assert (_size(turned), turned.size) == (decoded, (600, 800))


def test_the_target_size_is_computed_from_the_upright_size() -> None:
    asked: list[tuple[int, int]] = []

    def wanted(width: int, height: int) -> tuple[int, int]:
        asked.append((width, height))
        return width, height

    for orientation in range(1, 9):
        decode_image(jpeg(80, 60, orientation), LIMITS, wanted)
    assert asked == [(80, 60)] * 4 + [(60, 80)] * 4


def test_a_jpeg_decoded_smaller_has_nearly_the_same_pixels() -> None:
    whole = decode_image(jpeg(1200, 1600), LIMITS)
    scaled = decode_image(jpeg(1200, 1600), LIMITS, lambda width, height: (280, 392))
    assert _size(scaled) == (300, 400)
    difference = resize(scaled.pixels, (280, 392)).astype(np.int16) - resize(whole.pixels, (280, 392))
    assert np.abs(difference).mean() < 1


def test_formats_that_cannot_be_scaled_are_decoded_whole() -> None:
    image = decode_image(images.encode(Image.new("RGB", (64, 48))), LIMITS, lambda width, height: (8, 6))
    assert _size(image) == (64, 48)


@pytest.mark.parametrize("form", ["<", ">", "<+"])
@pytest.mark.parametrize("is_mistaken", [False, True])
def test_a_tiff_is_read_whichever_way_its_header_is_written(form: str, is_mistaken: bool) -> None:
    data = tiff_of(1, form=form)
    if is_mistaken and not form.endswith("+"):
        # the order of the header's own number is the other one
        data = data[:2] + data[3:1:-1] + data[4:]
    for sent in (data, base64.b64encode(data)):
        assert _size(decode_image(sent, LIMITS)) == (64, 48)


def test_a_tiff_that_pillow_does_not_read_is_named() -> None:
    with pytest.raises(InvalidArgument, match="it looks like a big-endian BigTIFF"):
        decode_image(tiff_of(1, form=">+"), LIMITS)


def test_the_images_of_a_phone_are_one_image() -> None:
    rgb = images.plain()
    data = images.encode(rgb, "MPO", save_all=True, append_images=[rgb.resize((40, 20))])
    image = decode_image(data, LIMITS)
    assert (_size(image), image.warning) == (rgb.size, "")
