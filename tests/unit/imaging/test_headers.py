"""`ocrvl.imaging.headers`: what is counted before any decoder sees a file."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

import pytest
from PIL import Image

from ocrvl.errors import InvalidArgument
from ocrvl.imaging.headers import PLAIN_PASSES, Header, bmp, jpeg, png, read_header, tiff, webp
from stress.fuzz.bombs import GRAY, bmp_of, chunk, jpeg_of, png_of, tiff_of, webp_of
from tests.support import images

KINDS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF")


BOMBS: dict[str, tuple[Callable[[], bytes], str]] = {
    "a JPEG of empty segments": (lambda: jpeg_of(jpeg.MAX_SEGMENTS), "more than 1000 segments"),
    "a JPEG of empty comments": (lambda: jpeg_of(jpeg.MAX_SEGMENTS, b"\xff\xfe\0\x02"), "more than 1000 segments"),
    "a JPEG of markers alone": (lambda: jpeg_of(jpeg.MAX_SEGMENTS, b"\xff\xd0"), "more than 1000 segments"),
    "a JPEG of stray bytes": (lambda: jpeg_of(jpeg.MAX_STRAY_BYTES + 1, b"\0"), "or 65536 bytes between them"),
    "a JPEG of filling bytes": (lambda: jpeg_of(jpeg.MAX_STRAY_BYTES + 1, b"\xff"), "or 65536 bytes between them"),
    "a PNG of empty chunks": (lambda: png_of(png.MAX_CHUNKS), "more than 50000 chunks"),
    "a PNG of empty image chunks": (lambda: png_of(png.MAX_CHUNKS, chunk(b"IDAT")), "more than 50000 chunks"),
    "a PNG with two headers": (
        lambda: png_of(1, chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))),
        "a PNG with two headers",
    ),
    "a WebP of empty chunks": (lambda: webp_of(webp.MAX_CHUNKS), "more than 50000 chunks"),
    "a TIFF of strips": (lambda: tiff_of(tiff.MAX_BLOCKS + 1), "100001 strips or tiles"),
    "a big-endian TIFF of strips": (lambda: tiff_of(tiff.MAX_BLOCKS + 1, form=">"), "100001 strips or tiles"),
    "a BigTIFF of strips": (lambda: tiff_of(tiff.MAX_BLOCKS + 1, form="<+"), "100001 strips or tiles"),
    "a TIFF of tags": (lambda: tiff_of(1, tags=tiff.MAX_TAGS), "1009 tags in a directory"),
    "a TIFF that names more than it has": (lambda: tiff_of(1000)[:150], "whose tags have"),
    "a run-length BMP of many pixels": (lambda: bmp_of(65_500, 1526), "a run-length BMP of 65500x1526 pixels"),
    "a run-length BMP of many bytes": (lambda: bmp_of(8, 8, bytes(70_000)), "a run-length BMP of 8x8 pixels in"),
}


@pytest.mark.parametrize("kind", BOMBS)
def test_what_no_honest_file_has_is_refused_from_its_bytes_alone(kind: str) -> None:
    make, reason = BOMBS[kind]
    with pytest.raises(InvalidArgument, match=reason):
        read_header(make())


@pytest.mark.parametrize("kind", KINDS)
def test_an_ordinary_file_says_its_size(kind: str) -> None:
    header = read_header(images.encode(GRAY.convert("RGB"), kind))
    assert header is not None
    assert (header.format, header.size, header.passes) == (kind, (64, 48), 1)
    # a TIFF's directories may lead anywhere
    assert header.is_plain == (kind != "TIFF")


@pytest.mark.parametrize(
    "make",
    [
        lambda: jpeg_of(100),
        lambda: jpeg_of(2, b"\xff\xe1\0\x08Exif\0\0"),
        lambda: jpeg_of(5000, b"\0"),
        lambda: jpeg_of(100, b"\xff\xdb\0\x43" + bytes(65)),
        lambda: png_of(1001),
        lambda: png_of(9, chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(9)))),
        lambda: png_of(1, chunk(b"eXIf", bytes(70_000))),
        lambda: webp_of(1001),
        lambda: tiff_of(1),
        lambda: bmp_of(60, 60),
    ],
)
def test_what_costs_more_than_its_pixels_is_not_plain(make: Callable[[], bytes]) -> None:
    header = read_header(make())
    assert header is not None
    assert not header.is_plain


def test_many_pixels_or_many_passes_are_not_plain() -> None:
    side = int(PLAIN_PASSES**0.5)
    few = [Image.new("L", (side, side)), Image.new("L", (side, side + 2)), Image.new("LA", (side, side))]
    assert [read_header(images.encode(image)).is_plain for image in few] == [True, False, False]  # type: ignore[union-attr]
    progressive = read_header(images.encode(GRAY, "JPEG", progressive=True))
    assert progressive is not None
    assert progressive.passes > 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_breaks_off_is_left_to_its_decoder(kind: str) -> None:
    data = images.encode(GRAY.convert("RGB"), kind)
    for length in range(0, min(len(data), 400), 7):
        header = read_header(data[:length])
        assert header is None or header.size == (64, 48)


@pytest.mark.parametrize("form", ["<", ">", "<+", ">+"])
def test_a_tiff_of_any_byte_order_and_width_is_counted(form: str) -> None:
    data = tiff_of(2, form=form)
    assert read_header(data) == Header("TIFF", (64, 48), is_bounded=False)
    assert len(tiff.find_pages(data)) == 1


def test_a_page_of_a_tiff_is_a_file_of_one_page() -> None:
    first, second = GRAY, Image.new("L", (20, 10), 9)
    data = images.encode(first, "TIFF", save_all=True, append_images=[second])
    pages = [tiff.at_page(data, place) for place in tiff.find_pages(data)]
    assert [len(tiff.find_pages(page)) for page in pages] == [1, 1]
    assert [read_header(page).size for page in pages] == [(64, 48), (20, 10)]  # type: ignore[union-attr]


def test_a_directory_beyond_the_end_of_the_file_is_damage_and_no_more() -> None:
    for form, place in (("<", 2**32 - 1), ("<+", 2**64 - 1)):
        data = tiff_of(1, form=form)
        first = 8 if form.endswith("+") else 4
        width = 8 if form.endswith("+") else 4
        data = data[:first] + place.to_bytes(width, "little") + data[first + width :]
        assert (read_header(data), tiff.find_pages(data)) == (None, [])


def test_the_last_page_of_a_file_that_breaks_off_behind_its_directory_is_a_page() -> None:
    data = images.encode(GRAY, "TIFF", save_all=True, append_images=[GRAY])
    *_, last = tiff.find_pages(data)
    end = last + 2 + 12 * int.from_bytes(data[last : last + 2], "little")
    assert tiff.find_pages(data[: end + 2]) == tiff.find_pages(data)
    assert len(tiff.find_pages(tiff.at_page(data[: end + 2], last))) == 1


def test_run_lengths_that_are_let_in_are_few() -> None:
    assert bmp.MAX_RUN_LENGTH_PIXELS < PLAIN_PASSES
