"""`ocrvl.models.receipt`: receipts from image to answer, with a scripted detector and scripted models."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import jsonschema
import numpy as np
import pytest
from PIL import Image

from ocrvl.errors import Cancelled, InternalError, InvalidArgument, OcrError, Unavailable
from ocrvl.imaging.decode import ImageLimits
from ocrvl.messages import encode_texts
from ocrvl.metrics.definitions import CancelReason, Outcome, ReceiptStage
from ocrvl.models.receipt.dispatcher import ReceiptDispatcher
from ocrvl.models.receipt.lines import Line, Pixels, Quad
from ocrvl.models.receipt.looking import Looker
from ocrvl.models.receipt.options import ReceiptOptions
from ocrvl.models.receipt.reader import ReceiptReader
from ocrvl.models.receipt.request import ReceiptRequest
from ocrvl.models.words import Box, Word
from ocrvl.schemas import RECEIPT, read_schema
from ocrvl.settings import ReceiptSettings
from ocrvl.triton import context as triton
from ocrvl.triton.loop import LoopThread
from ocrvl.wire import FinishReason, Tensor
from tests.support import images
from tests.support.doubles import MemoryCall, assert_failed, wait_until

WIDTH, HEIGHT = 1600, 900
TEXTS = ["Corner Café", "Tea 2.50"]
PNG = images.encode(Image.new("RGB", (WIDTH, HEIGHT), "white"))


class TwoLines:
    """Finds as many lines as there are texts, one below the other; `hold` keeps it looking."""

    def __init__(self) -> None:
        self.count = len(TEXTS)
        self.hold = threading.Event()
        self.hold.set()
        self.looks = 0

    def find(self, pixels: Pixels) -> list[Quad]:
        self.looks += 1
        assert self.hold.wait(20)
        rows = [number % 9 for number in range(self.count)]
        return [
            np.array([[10, 50 * n], [400, 50 * n], [400, 50 * n + 40], [10, 50 * n + 40]], np.float32) for n in rows
        ]


class Scripted:
    """Reads `TEXTS`; `failures` are raised first, one a call. `hold` keeps lines in the engine."""

    def __init__(self) -> None:
        self.failures: list[Exception] = []
        self.error = ""
        self.hold = asyncio.Event()
        self.hold.set()
        self.at_work = 0
        self.words: list[Word] = []
        self.seen: tuple[int, ...] = ()
        self.tokens: list[str] = []
        self.ended: list[str] = []

    async def read_lines(
        self, crops: Sequence[Pixels], boxes: Sequence[Box], options: ReceiptOptions, token: str, call: triton.Call
    ) -> list[Line]:
        self.tokens.append(token)
        if self.failures:
            raise self.failures.pop(0)
        self.at_work += 1
        try:
            await self.hold.wait()
        finally:
            self.at_work -= 1
        assert [crop.shape for crop in crops] == [(40, 390, 3)] * len(boxes)
        return [
            Line("", box, FinishReason.ERROR, self.error) if self.error else Line(TEXTS[index % 2], box)
            for index, box in enumerate(boxes)
        ]

    async def spot(
        self, image: bytes, size: tuple[int, int], options: ReceiptOptions, token: str, call: triton.Call
    ) -> list[Line]:
        assert (image, size) == (PNG, (WIDTH, HEIGHT))
        return [Line(text, (0, 10.0 * n, 50, 10.0 * n + 9)) for n, text in enumerate(TEXTS)]

    async def find_fields(
        self, words: Sequence[Word], pixels: Pixels, size: tuple[int, int], call: triton.Call
    ) -> dict[str, Any]:
        self.words, self.seen = list(words), pixels.shape
        names = ("company", "address", "date", "currency", "payment", "subtotal", "tax", "total")
        total = {"text": "2.50", "value": "2.50", "confidence": 0.9, "box": [0, 0, 50, 20]}
        item = {"name": {**total, "text": "Tea", "value": "Tea"}, "quantity": None, "price": total}
        return {
            "schema_version": "1.0",
            "width": size[0],
            "height": size[1],
            "fields": {**dict.fromkeys(names), "total": total, "items": [item]},
            "checks": {"sum": "ok"},
            "warnings": ["seen"],
        }

    async def end(self, token: str) -> None:
        self.ended.append(token)


class Bench:
    """The model's dispatcher with scripted surroundings."""

    def __init__(self, **settings: Any) -> None:
        self.settings = ReceiptSettings(**{"max_receipts": 2, "retry_timeout_seconds": 5, **settings})
        self.detector, self.models = TwoLines(), Scripted()
        self.stages: list[ReceiptStage] = []
        self.finished: list[ReceiptRequest] = []
        self.loop = LoopThread("receipts")
        self.reader = ReceiptReader(
            self.models,
            Looker(self.detector, ImageLimits(max_pixels=self.settings.max_image_pixels), 1),
            self.settings,
            on_stage=lambda stage, _seconds: self.stages.append(stage),
        )
        self.dispatcher = ReceiptDispatcher(
            self.models, self.reader, self.settings, loop=self.loop, on_finished=self.finished.append
        )

    def send(self, image: bytes = PNG, **options: Any) -> MemoryCall:
        file = np.empty(1, dtype=object)
        file[0] = image
        call = MemoryCall({Tensor.IMAGE: file, Tensor.OPTIONS: encode_texts([json.dumps(options)])}, "r")
        self.dispatcher.take(call)
        return call

    def answer(self, image: bytes = PNG, **options: Any) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(answered(self.send(image, **options))[Tensor.JSON].item())
        return found

    def request(self) -> ReceiptRequest:
        wait_until(lambda: self.finished)
        return self.finished[-1]

    def close(self) -> None:
        self.detector.hold.set()
        self.loop.drain()
        self.reader.close()
        self.loop.stop()
        assert self.dispatcher.admission.admitted == 0


def answered(call: MemoryCall) -> Any:
    last = call.wait()
    assert not isinstance(last, Exception), last
    assert last is not None
    return last


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.close()


def test_an_image_becomes_fields_with_the_lines_that_they_come_from(bench: Bench) -> None:
    found = bench.answer()
    jsonschema.validate(found, read_schema(RECEIPT))
    assert (found["width"], found["height"]) == (WIDTH, HEIGHT)
    assert found["lines"] == [
        {"text": "Corner Café", "box": [10, 0, 400, 40], "finish_reason": "stop"},
        {"text": "Tea 2.50", "box": [10, 50, 400, 90], "finish_reason": "stop"},
    ]
    assert found["warnings"] == ["seen"]
    assert [(word.text, word.line) for word in bench.models.words] == [
        ("Corner", 0),
        ("Café", 0),
        ("Tea", 1),
        ("2.50", 1),
    ]
    # boxes are in pixels of the image, which `fields` is shown smaller
    assert max(word.box[2] for word in bench.models.words) == 400
    assert bench.models.seen == (576, 1024, 3)
    assert bench.stages == [ReceiptStage.DETECT, ReceiptStage.READ, ReceiptStage.FIELDS]
    request = bench.request()
    assert (request.outcome, request.counts(), request.image) == (Outcome.OK, {"lines": 2}, b"")
    assert request.trace_headers == {"traceparent": "00-trace"}


def test_fields_are_drawn_where_that_is_asked_for(bench: Bench) -> None:
    assert answered(bench.send())[Tensor.IMAGE_DATA].size == 0
    (drawn,) = answered(bench.send(visualize=True))[Tensor.IMAGE_DATA].tolist()
    (as_text,) = answered(bench.send(visualize=True, base64_files=True))[Tensor.IMAGE_DATA].tolist()
    assert base64.b64decode(as_text) == drawn
    with Image.open(io.BytesIO(drawn)) as image:
        assert (image.format, image.size) == ("JPEG", (WIDTH, HEIGHT))
        assert np.asarray(image.crop((0, 0, 60, 30))).min() < 100


def test_an_image_without_text_has_no_fields_and_says_so(bench: Bench) -> None:
    bench.detector.count = 0
    found = bench.answer()
    assert found["lines"] == []
    assert found["warnings"] == ["no text was found on the image", "seen"]
    assert bench.models.words == []


def test_a_word_that_is_none_is_cut_to_what_fields_takes(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "TEXTS", ["*" * 5000, "Tea"])
    assert bench.answer()["lines"][0]["text"] == "*" * 5000
    assert [len(word.text) for word in bench.models.words] == [256, 3]


def test_lines_beyond_the_limit_are_left_out_and_one_that_failed_is_named(bench: Bench) -> None:
    bench.detector.count = 700
    bench.models.error = "[INVALID_ARG] image 0: its aspect ratio is 300"
    found = bench.answer()
    assert len(found["lines"]) == 500
    assert found["warnings"][:2] == ["700 lines, the first 500 are read", "line 1: image 0: its aspect ratio is 300"]
    assert found["lines"][0]["finish_reason"] == "error"


def test_the_engine_finds_lines_where_it_is_set_to() -> None:
    bench = Bench(detector="spotting")
    found = bench.answer()
    assert [line["text"] for line in found["lines"]] == TEXTS
    bench.close()


@pytest.mark.parametrize(
    ("image", "options", "reason"),
    [
        (b"", {}, "it has no bytes"),
        (b"hello", {}, "not an image in a format that is read"),
        (b"%PDF-1.7", {}, "PDF"),
        (PNG[:100], {}, "damaged"),
        (PNG, {"task": "ocr"}, r"options: unknown key 'task' \(known: max_tokens"),
        (PNG, {"max_tokens": 0}, "options: max_tokens"),
        (PNG, {"min_pixels": 9000, "max_pixels": 8000}, "min_pixels"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_reason(
    bench: Bench, image: bytes, options: dict[str, Any], reason: str
) -> None:
    assert_failed(bench.send(image, **options), InvalidArgument, reason)
    assert bench.request().outcome is Outcome.INVALID
    assert bench.models.tokens == bench.models.ended == []


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"max_image_bytes": 10}, r"the image has \d+ bytes, at most 10"),
        ({"max_image_pixels": 10}, "1600x900 pixels, at most 10"),
    ],
)
def test_what_is_too_large_is_refused(settings: dict[str, int], reason: str) -> None:
    bench = Bench(**settings)
    assert_failed(bench.send(), InvalidArgument, reason)
    bench.close()


def test_a_model_that_is_full_is_asked_again(bench: Bench) -> None:
    bench.models.failures = [Unavailable("the engine is restarting")]
    assert bench.answer()["lines"]
    assert len(bench.models.tokens) == 2
    assert len(set(bench.models.tokens)) == 1


@pytest.mark.parametrize("failure", [Unavailable("down"), Cancelled("cancelled by its token"), InternalError("id")])
def test_what_another_model_says_in_the_end_reaches_the_caller(failure: OcrError) -> None:
    bench = Bench(retry_timeout_seconds=0.001)
    bench.models.failures = [failure] * 9
    assert_failed(bench.send(), type(failure), str(failure))
    assert set(bench.models.ended) == set(bench.models.tokens)
    bench.close()


def test_a_caller_that_goes_away_ends_what_is_read_for_it(bench: Bench) -> None:
    bench.models.hold.clear()
    call = bench.send(cancel_token="token-of-sixteen")
    wait_until(lambda: bench.models.at_work)
    call.is_gone = True
    bench.dispatcher.end_abandoned()
    assert_failed(call, Cancelled, "its caller went away")
    assert bench.request().cancelled_by is CancelReason.CALLER
    assert bench.models.ended == ["token-of-sixteen"]
    assert bench.models.at_work == 0


def test_a_deadline_ends_a_receipt_while_it_is_looked_at(bench: Bench) -> None:
    bench.detector.hold.clear()
    call = bench.send(timeout_ms=50)
    assert_failed(call, Cancelled, "timeout_ms has passed")
    assert bench.request().cancelled_by is CancelReason.TIMEOUT
    # it was not in an engine, and the thread is free for the next one once it is done
    assert bench.models.ended == []
    bench.detector.hold.set()
    assert bench.answer()["lines"]


def test_receipts_beyond_the_limit_wait_and_are_not_looked_at(bench: Bench) -> None:
    bench.models.hold.clear()
    for _ in range(2):
        bench.send()
    waiting = threading.Thread(target=bench.send, daemon=True)
    waiting.start()
    wait_until(lambda: bench.models.at_work == 2)
    assert bench.detector.looks == 2
    bench.loop.run(_set(bench.models.hold))
    waiting.join(20)
    wait_until(lambda: len(bench.finished) == 3)
    assert {request.outcome for request in bench.finished} == {Outcome.OK}


async def _set(event: asyncio.Event) -> None:
    event.set()
