"""`ocrvl.imaging.decoder`: what costs more than its pixels is decoded where it can be ended."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import psutil
import pytest
from PIL import Image

from ocrvl.checkpoint import nano_path
from ocrvl.errors import Cancelled, InvalidArgument
from ocrvl.imaging.decode import ImageLimits, decode_image
from ocrvl.imaging.decoder import DecoderProcess
from ocrvl.imaging.grid import PixelGrid
from ocrvl.models.preprocess.pipeline import Preprocessor
from ocrvl.options import Options
from ocrvl.wire import Task
from stress.fuzz.bombs import bmp_of, jpeg_of_scans
from tests.support import images

LIMITS = ImageLimits()
TIFF = images.encode(images.plain(), "TIFF", compression="tiff_lzw")
SLOW = bmp_of(4000, 4000)
"""Sixteen million pixels, one after the other: more than a second on any machine."""


@pytest.fixture
def decoder() -> Iterator[DecoderProcess]:
    decoder = DecoderProcess()
    yield decoder
    decoder.close()
    assert not running()


def running() -> list[psutil.Process]:
    """The processes that decode."""
    living = [child for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE]
    return [child for child in living if "ocrvl.imaging.decoder_process" in child.cmdline()]


def files() -> dict[str, bytes]:
    return {**images.lossless_files(), **images.lossy_files(), **images.multi_frame_files()}


def test_every_file_is_the_same_image_in_a_process_of_its_own(decoder: DecoderProcess) -> None:
    for kind, data in files().items():
        if kind.startswith(("base64", "data URL")):
            continue
        here, there = decode_image(data, LIMITS), decoder.decode(data, LIMITS, lambda width, height: (width, height))
        np.testing.assert_array_equal(here.pixels, there.pixels, kind)
        assert (here.size, here.warning, here.frames) == (there.size, there.warning, there.frames)
    assert len(running()) == 1


def test_a_plain_image_needs_no_process(decoder: DecoderProcess) -> None:
    for kind in ("PNG", "JPEG", "WEBP", "BMP"):
        decode_image(images.encode(images.plain(), kind), LIMITS, isolated=decoder.decode)
    assert not running()
    decode_image(TIFF, LIMITS, isolated=decoder.decode)
    assert len(running()) == 1


def test_a_jpeg_of_many_scans_is_decoded_at_its_target_size(decoder: DecoderProcess) -> None:
    image = decoder.decode(jpeg_of_scans(50), LIMITS, lambda width, height: (width // 2, height // 2))
    assert (image.pixels.shape, image.size) == ((32, 32, 3), (64, 64))


def test_an_image_that_takes_too_long_is_ended_and_the_next_is_read(decoder: DecoderProcess) -> None:
    decoder.decode(TIFF, LIMITS, None)
    (first,) = running()
    with pytest.raises(InvalidArgument, match=r"it takes more than 0.01 s to decode"):
        decoder.decode(SLOW, replace(LIMITS, max_seconds=0.01), None)
    assert not first.is_running()
    assert decoder.decode(TIFF, LIMITS, None).pixels.shape == np.asarray(images.plain()).shape


def test_an_image_that_takes_too_much_memory_is_refused(decoder: DecoderProcess) -> None:
    decoder.decode(TIFF, LIMITS, None)
    (process,) = running()
    process.rlimit(psutil.RLIMIT_AS, (process.memory_info().vms, -1))
    large = images.encode(Image.new("RGB", (6000, 6000)), "TIFF", compression="tiff_lzw")
    with pytest.raises(Exception, match="memory"):
        decoder.decode(large, LIMITS, None)


def test_what_cannot_be_read_is_refused_without_a_new_process(decoder: DecoderProcess) -> None:
    for data, reason in ((TIFF[:60], "TIFF|header"), (b"hello", "not an image")):
        with pytest.raises(InvalidArgument, match=reason):
            decoder.decode(data, LIMITS, None)

    def refuse(width: int, height: int) -> tuple[int, int]:
        raise InvalidArgument("too flat")

    with pytest.raises(InvalidArgument, match="too flat"):
        decoder.decode(images.encode(images.plain(), "JPEG"), LIMITS, refuse)
    processes = running()
    decoder.decode(TIFF, LIMITS, None)
    assert running() == processes


def test_an_image_that_ends_its_process_is_refused(decoder: DecoderProcess) -> None:
    decoder.decode(TIFF, LIMITS, None)
    (process,) = running()
    process.kill()
    process.wait()
    with pytest.raises(InvalidArgument, match="ends the program that decodes it"):
        decoder.decode(TIFF, LIMITS, None)
    assert decoder.decode(TIFF, LIMITS, None).pixels.any()


def preprocessor(decoder: DecoderProcess | None, seconds: float = 30) -> Preprocessor:
    return Preprocessor(
        PixelGrid.from_checkpoint(nano_path()), replace(LIMITS, max_request_seconds=seconds), decoder=decoder
    )


def test_a_caller_who_leaves_is_not_decoded_for(decoder: DecoderProcess) -> None:
    looks: list[None] = []

    def look() -> None:
        looks.append(None)
        if len(looks) > 1:
            raise Cancelled("its caller went away")

    with pytest.raises(Cancelled):
        preprocessor(decoder).preprocess([SLOW] * 64, [Task.OCR], Options(), look)
    assert len(looks) == 2
    assert not running()


def test_between_plain_images_the_caller_is_looked_at() -> None:
    looks: list[None] = []
    png = images.encode(images.plain())
    preprocessor(None).preprocess([png] * 5, [Task.OCR], Options(), lambda: looks.append(None))
    assert len(looks) == 5


def test_the_images_of_a_request_share_a_time(decoder: DecoderProcess) -> None:
    png = images.encode(images.plain())
    # the first image of a process takes what libraries do once
    preprocessor(decoder).preprocess([png], [Task.OCR], Options())
    packed = preprocessor(decoder, 0.01).preprocess([png, SLOW, png, png], [Task.OCR], Options(on_error="keep"))
    reasons = [error.partition(": ")[2] for error in packed.errors]
    assert reasons[0] == ""
    assert "to decode: save it again" in reasons[1]
    assert all("those before it took the 0.01 s that a request may take" in reason for reason in reasons[2:])
