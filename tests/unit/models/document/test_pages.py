"""`ocrvl.models.document.pages` and `options`: which pages a file has, which are chosen, and what is refused."""

from __future__ import annotations

import base64
import io
import json
import zlib
from collections.abc import Iterator
from contextlib import closing, suppress
from typing import Any

import numpy as np
import pypdfium2
import pytest
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from ocrvl.errors import InvalidArgument
from ocrvl.files import decode_file
from ocrvl.imaging.decode import ImageLimits
from ocrvl.models.document.drawing import Drawers
from ocrvl.models.document.options import DocumentOptions, choose_pages, parse_document_options, task_of
from ocrvl.models.document.pages import open_pages
from ocrvl.prompts import TASK_PROMPTS
from tests.support import images

LIMITS = ImageLimits(max_pixels=4_000_000)
DRAWERS = Drawers()
COLOURS = ("red", "green", "blue")


@pytest.fixture(scope="module", autouse=True)
def drawers() -> Iterator[None]:
    """What draws is ended with the last test."""
    yield
    DRAWERS.close()


def pdf(*sizes: tuple[float, float]) -> bytes:
    """A PDF of empty pages of these sizes in points."""
    file = pypdfium2.PdfDocument.new()
    for width, height in sizes:
        file.new_page(width, height)
    buffer = io.BytesIO()
    file.save(buffer)
    return buffer.getvalue()


def coloured(format: str) -> bytes:  # noqa: A002 - Pillow's own name
    first, *others = [Image.new("RGB", (60, 40), colour) for colour in COLOURS]
    return images.encode(first, format, save_all=True, append_images=others)


@pytest.mark.parametrize("format", ["PDF", "TIFF"])
def test_pages_are_drawn_one_by_one_in_any_order(format: str) -> None:  # noqa: A002
    pages = open_pages(coloured(format), 72, LIMITS, DRAWERS)
    assert pages.count == 3
    for index in (2, 0, 1):
        pixels = pages.draw(index).pixels
        assert pixels.shape == (40, 60, 3)
        assert pixels.dtype == np.uint8
        wanted = Image.new("RGB", (1, 1), COLOURS[index]).getpixel((0, 0))
        assert np.abs(pixels[20, 30].astype(int) - np.array(wanted)).max() < 8
    pages.close()


def test_a_pdf_is_drawn_at_the_resolution_that_is_asked_for() -> None:
    assert open_pages(pdf((72, 144)), 144, LIMITS, DRAWERS).draw(0).pixels.shape == (288, 144, 3)


@pytest.mark.parametrize("size", [(56_693, 56_693), (14_400, 30), (1, 200_000)])
def test_a_page_of_twenty_metres_is_drawn_coarser_and_that_is_said(size: tuple[float, float]) -> None:
    page = open_pages(pdf(size), 144, LIMITS, DRAWERS).draw(0)
    height, width, _ = page.pixels.shape
    assert width * height <= LIMITS.max_pixels * 1.01
    assert max(width, height) <= LIMITS.max_side
    assert "dots an inch" in page.warning or max(size) < 15_000


def test_scripts_are_not_run_and_attachments_not_opened() -> None:
    data = (
        b"%PDF-1.7\n1 0 obj<</Type/Catalog/Pages 2 0 R/OpenAction<</S/JavaScript/JS(while(true){})>>"
        b"/Names<</EmbeddedFiles<</Names[(a.exe)5 0 R]>>>>>>endobj 2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj "
        b"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 72 36]/AA<</O<</S/Launch/F(a.exe)>>>>>>endobj "
        b"5 0 obj<</Type/Filespec/F(a.exe)/EF<</F 6 0 R>>>>endobj 6 0 obj<</Length 2>>stream\nMZ\nendstream endobj\n"
        b"trailer<</Root 1 0 R>>\n%%EOF"
    )
    page = open_pages(data, 72, LIMITS, DRAWERS).draw(0)
    assert page.pixels.shape == (36, 72, 3)
    assert page.pixels.min() == 255


def test_a_bomb_of_an_image_in_a_pdf_is_drawn_within_the_page_s_pixels() -> None:
    side = 12_000
    packed = zlib.compress(bytes(side * side // 8), 9)
    data = (
        b"%%PDF-1.7\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj 2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj "
        b"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 72 72]/Contents 4 0 R/Resources<</XObject<</I 5 0 R>>>>"
        b">>endobj "
        b"4 0 obj<</Length 27>>stream\nq 72 0 0 72 0 0 cm /I Do Q\nendstream endobj "
        b"5 0 obj<</Type/XObject/Subtype/Image/Width %d/Height %d/ColorSpace/DeviceGray/BitsPerComponent 1"
        b"/Filter/FlateDecode/Length %d>>stream\n%b\nendstream endobj\ntrailer<</Root 1 0 R>>\n%%%%EOF"
    ) % (side, side, len(packed), packed)
    page = open_pages(data, 72, LIMITS, DRAWERS).draw(0)
    assert page.pixels.shape == (72, 72, 3)
    assert page.pixels.max() < 32


def test_an_image_is_a_document_of_one_page() -> None:
    pages = open_pages(images.encode(images.plain()), 144, LIMITS, DRAWERS)
    assert pages.count == 1
    np.testing.assert_array_equal(pages.draw(0).pixels, np.asarray(images.plain()))


def encrypted() -> bytes:
    # 40-bit RC4 with a password, a file of one empty page, as an old printer would write it
    return (
        b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj 2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj "
        b"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 72 72]>>endobj 4 0 obj<</Filter/Standard/V 1/R 2/P -44"
        b"/O<" + b"28BF4E5E4E758A4164004E56FFFA01082E2E00B6D0683E802F0CA9FE6453697A" + b">"
        b"/U<" + b"00112233445566778899AABBCCDDEEFF00112233445566778899AABBCCDDEEFF" + b">>>endobj\n"
        b"trailer<</Root 1 0 R/Encrypt 4 0 R/ID[<00><00>]>>\n%%EOF"
    )


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "the file has no bytes"),
        (b"%PDF-1.7 and then nothing", "the PDF is damaged"),
        (pdf((72, 72))[:200], "the PDF is damaged"),
        (encrypted(), "the PDF asks for a password"),
        (pdf(), "the PDF has no pages"),
        (b"PK\x03\x04 a letter", "neither a PDF nor an image .* it looks like a ZIP archive"),
        (b"hello", "neither a PDF nor an image"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_with_the_reason(data: bytes, reason: str) -> None:
    with pytest.raises(InvalidArgument, match=reason):
        open_pages(data, 144, LIMITS, DRAWERS)


@pytest.mark.parametrize(
    "before", [pdf((72, 72))[:200], encrypted(), pdf((72, 72))], ids=["damaged", "locked", "sound"]
)
def test_a_file_without_pages_is_told_as_such_whatever_was_opened_before(before: bytes) -> None:
    with closing(Drawers()) as drawers:
        with suppress(InvalidArgument):
            open_pages(before, 144, LIMITS, drawers).close()
        with pytest.raises(InvalidArgument, match="the PDF has no pages"):
            open_pages(pdf(), 144, LIMITS, drawers)


def test_a_damaged_page_of_a_tiff_fails_alone() -> None:
    first, *others = [Image.new("RGB", (60, 40), colour) for colour in COLOURS]
    data = bytearray(images.encode(first, "TIFF", save_all=True, append_images=others, compression="tiff_lzw"))
    with Image.open(io.BytesIO(data)) as image:
        assert isinstance(image, TiffImageFile)
        image.seek(1)
        start, size = image.tag_v2[273][0], image.tag_v2[279][0]
    data[start : start + size] = b"\xff" * size
    pages = open_pages(bytes(data), 72, LIMITS, DRAWERS)
    with pytest.raises(InvalidArgument, match="it is a damaged TIFF"):
        pages.draw(1)
    assert [pages.draw(index).pixels.shape for index in (0, 2)] == [(40, 60, 3)] * 2


def test_pixels_of_a_tiff_s_page_are_bounded() -> None:
    with pytest.raises(InvalidArgument, match="promises 60x40 pixels, at most 100"):
        open_pages(coloured("TIFF"), 72, ImageLimits(max_pixels=100), DRAWERS).draw(1)


@pytest.mark.parametrize(
    ("pages", "count", "chosen"),
    [
        (None, 3, [0, 1, 2]),
        ("2", 3, [1]),
        ("3-,1", 4, [0, 2, 3]),
        ("1-2,2-3", 3, [0, 1, 2]),
        ("1-,2,2-3,4-", 5, [0, 1, 2, 3, 4]),
    ],
)
def test_pages_are_chosen_by_ranges(pages: str | None, count: int, chosen: list[int]) -> None:
    assert choose_pages(pages, count, 10) == chosen


@pytest.mark.parametrize(
    ("pages", "reason"),
    [("4", "'4' not found, the file has 3 pages"), ("3-2", "ends before it begins"), (None, "at most 2 are read")],
)
def test_pages_that_cannot_be_read_are_refused(pages: str | None, reason: str) -> None:
    with pytest.raises(InvalidArgument, match=reason):
        choose_pages(pages, 3, 2)


def test_ten_thousand_pages_are_refused_at_once() -> None:
    pages = open_pages(pdf(*[(72, 72)] * 10_000), 144, LIMITS, DRAWERS)
    with pytest.raises(InvalidArgument, match="10000 pages, at most 1000 are read in one request"):
        choose_pages(None, pages.count, 1000)


def test_pages_are_counted_and_not_listed_where_they_are_too_many() -> None:
    with pytest.raises(InvalidArgument, match=f"{10**15} pages, at most 1000 are read"):
        choose_pages(",".join(["1-"] * 341), 10**15, 1000)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"page": "1"}, "unknown key 'page'"),
        ({"pages": "0"}, "pages"),
        ({"pages": "1,,2"}, "pages"),
        ({"dpi": 10}, "dpi"),
        ({"use_doc_unwarping": True}, "use_doc_unwarping: this server has no model for it"),
        ({"prompt_label": "table"}, "use_layout_detection false"),
        ({"min_pixels": 2000, "max_pixels": 1000}, r"min_pixels \(2000\) is larger"),
        ({"use_chart_recognition": "yes"}, "use_chart_recognition"),
        ({"vlm_extra_args": {"ocr_pixels": 1}}, "vlm_extra_args"),
        ({"output_formats": ["pdf"]}, "output_formats"),
    ],
)
def test_options_that_cannot_be_are_refused_by_name(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(InvalidArgument, match=reason):
        parse_document_options(json.dumps(options).encode())


def test_options_have_paddleocrs_defaults() -> None:
    assert parse_document_options(None) == DocumentOptions()
    assert DocumentOptions().model_settings["markdown_ignore_labels"][0] == "number"


@pytest.mark.parametrize("task", TASK_PROMPTS)
def test_every_prompt_of_the_pipeline_is_a_task(task: Any) -> None:
    assert task_of(TASK_PROMPTS[task]) is task


def test_a_file_for_json_is_base64_text_and_read_as_the_file_is() -> None:
    file = pdf((72, 36))
    text = base64.b64encode(file)
    assert decode_file(text) == decode_file(b"data:application/pdf;base64," + text) == file
