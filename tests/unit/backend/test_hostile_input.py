"""Input that once did what none may: raised what its parser does not name, took hours, or all the memory."""

from __future__ import annotations

import errno
import io
import json
import struct
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ocrvl.errors import MAX_MESSAGE_BYTES, InvalidArgument
from ocrvl.imaging.decode import ImageLimits, decode_image
from ocrvl.imaging.headers.jpeg import MAX_SCANS
from ocrvl.imaging.headers.tiff import MAX_FRAMES
from ocrvl.launcher.log import LoadingLog
from ocrvl.launcher.server import follow_output
from ocrvl.metrics.definitions import Outcome
from ocrvl.models.document.drawing import Drawers
from ocrvl.models.document.pages import open_pages
from ocrvl.models.layout.detectors import Pixels
from ocrvl.models.layout.model import detect_each
from ocrvl.models.layout_options import LayoutOptions
from ocrvl.models.logfmt import quote_value
from ocrvl.models.regions import Region
from ocrvl.options import parse_options
from ocrvl.wire import FinishReason, Tensor
from ocrvl_client import Reading, ServerError
from ocrvl_client._documents import decode_part
from ocrvl_client._readings import decode_piece, decode_read
from ocrvl_client._tables import rows_of
from ocrvl_client._transports.generate import decode_event
from stress.fuzz.bombs import jpeg_of_scans
from tests.support import images
from tests.support.benches import EngineBench
from tests.support.doubles import MemoryCall, assert_failed, pack

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


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ({"additionalItems": {"minItems": "x"}}, "$.additionalItems.minItems: \"'x' is not of type 'integer'\""),
        ({"$schema": "http://json-schema.org/draft-03/schema#", "allOf": 5}, "$.$schema: unknown"),
        ({"$schema": "http://json-schema.org/draft-04/schema#", "$ref": 5}, "'5' is not in this schema"),
        (
            {"$schema": "http://json-schema.org/draft-07/schema#", "$defs": {"a": {"maxItems": []}}},
            "$.$defs.a.maxItems: \"[] is not of type 'integer'\"",
        ),
    ],
)
def test_schemas_under_the_keywords_of_another_dialect_are_checked(schema: dict[str, Any], reason: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        parse_options(json.dumps({"json_schema": schema}).encode())
    assert reason in str(caught.value)


def test_of_many_problems_a_few_are_told() -> None:
    with pytest.raises(InvalidArgument, match=r"unknown key 'k0' .* and 19997 more$"):
        parse_options(json.dumps(dict.fromkeys([f"k{number}" for number in range(20_000)], 1)).encode())


def test_a_long_key_is_told_in_part() -> None:
    with pytest.raises(InvalidArgument, match=r"unknown key 'kkk+…' \(known: "):
        parse_options(json.dumps({"k" * 100_000: 1}).encode())


def test_a_message_fits_into_a_header_of_grpc() -> None:
    tagged = InvalidArgument("中" * 5000).tagged
    assert tagged.endswith("中…")
    assert len(tagged.encode()) < MAX_MESSAGE_BYTES + 20


def test_a_request_whose_parameters_can_not_be_read_has_an_answer(tmp_path: Path) -> None:
    class BadCall(MemoryCall):
        @property
        def parameters(self) -> Any:
            raise json.JSONDecodeError("Invalid control character", "", 3)

        @parameters.setter
        def parameters(self, _value: Any) -> None:
            pass

    bench = EngineBench(tmp_path, 3)
    call = BadCall(pack().encode_tensors(), "id-7")
    bench.dispatcher.take(call)
    assert_failed(call, json.JSONDecodeError, "Invalid control character")
    assert bench.request().outcome is Outcome.INTERNAL
    bench.stop()


def test_a_page_that_the_detector_can_not_look_at_fails_alone() -> None:
    class Picky:
        def detect(self, pages: Sequence[Pixels], options: Sequence[LayoutOptions]) -> list[list[Region]]:
            if any(page.shape[0] == 1 for page in pages):
                raise ValueError("too flat")
            return [[Region("text", 1.0, (0, 0, 1, 1))] for _ in pages]

    pages = [np.zeros((height, 9, 3), np.uint8) for height in (9, 1, 5)]
    first, second, third = detect_each(Picky(), pages, [LayoutOptions()] * 3)
    assert isinstance(second, ValueError)
    assert [answer[Tensor.LABEL].tolist() for answer in (first, third) if isinstance(answer, dict)] == [[[b"text"]]] * 2


def test_too_little_memory_is_not_the_image_s_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(_image: object) -> None:
        raise MemoryError

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", load)
    with pytest.raises(MemoryError):
        decode_image(images.encode(images.plain(), "BMP"), LIMITS)


def test_a_log_on_a_full_disk_takes_nothing_with_it() -> None:
    written: list[str] = []

    def write(line: str) -> None:
        if line == "b":
            raise OSError(errno.ENOSPC, "No space left on device")
        written.append(line)

    log = LoadingLog()
    follow_output(["a\n", "b\n", "c\n"], log, write)
    assert (written, log.tail(3)) == (["a", "c"], ["a", "b", "c"])


def test_a_request_s_id_does_not_make_lines_of_the_log() -> None:
    assert "\n" not in quote_value("a\nrequest request_id=b outcome=ok")


@pytest.mark.parametrize(
    ("html", "rows"),
    [
        ("<table><tr><td>a<![x]>b<![endif]></td></tr></table>", [["ab"]]),
        ("<table><tr><td>a</td></tr></table><![x", [["a"]]),
        (f'<tr><td rowspan="{"9" * 5000}">a</td></tr>', [["a"]]),
        ('<tr><td colspan="0002">a</td></tr>', [["a", "a"]]),
        ('<tr><td colspan="000">a</td></tr>', [["a"]]),
    ],
)
def test_a_table_of_odd_html_has_rows(html: str, rows: list[list[str]]) -> None:
    assert rows_of(html) == rows


def test_cells_are_not_repeated_without_end() -> None:
    wide = "<table><tr>" + '<td rowspan="999" colspan="999">a</td>' * 400 + "</tr>" + "<tr><td>b</td></tr>" * 400
    rows = rows_of(wide)
    assert len(rows) == 401
    assert sum(map(len, rows)) < 110_000


def test_a_spot_at_an_impossible_place_is_none() -> None:
    text = f'{{"rec_texts": ["a"], "rec_polys": [[[{"1" * 400}, 0]]]}}'
    assert Reading(text, FinishReason.STOP, 1, 1).spots == []


@pytest.mark.parametrize(
    ("event", "decode"),
    [
        (b"<html>", decode_piece),
        (b"5", decode_piece),
        (b"[" * 100_000, decode_piece),
        (b'{"model_name": 1, "index": 0}', decode_piece),
        (b'{"model_name": 1, "index": 99999999999999999999}', decode_piece),
        (b'{"model_name": 1, "finish_reason": "stop"}', decode_piece),
        (b'{"model_name": 1, "docx": "!"}', decode_part),
        (b'{"model_name": 1, "document_markdown": ["a", "b"]}', decode_part),
    ],
)
def test_an_answer_that_is_not_of_this_protocol_is_an_error_of_the_client_s_own(
    event: bytes, decode: Callable[[Mapping[Tensor, Any]], Any]
) -> None:
    with pytest.raises(ServerError, match="the answer is not one that this client knows"):
        decode(decode_event(b"data: " + event) or {})


def test_an_unknown_finish_reason_is_an_error_of_the_client_s_own() -> None:
    texts = np.array([b"maybe"], object)
    answer = dict.fromkeys(Tensor, texts) | {Tensor.NUM_INPUT_TOKENS: np.zeros(1, np.int32)}
    with pytest.raises(ServerError, match="'maybe' is not a valid FinishReason"):
        decode_read(answer)
