"""`ocrvl.models.document`: whole files, with scripted models: true blocks for `layout`, known texts for the engine."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import docx
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageDraw

from ocrvl.errors import Cancelled, InternalError, InvalidArgument, OcrError, Unavailable
from ocrvl.messages import Array, encode_texts
from ocrvl.metrics.definitions import Outcome
from ocrvl.models.document.dispatcher import DocumentDispatcher
from ocrvl.models.document.ink import find_ink
from ocrvl.models.document.options import DocumentOptions
from ocrvl.models.document.paddle import BlockText, Crop, PaddlePipeline, PageResult
from ocrvl.models.document.page_reader import PageReader
from ocrvl.models.document.request import DocumentRequest
from ocrvl.models.document.results import Page
from ocrvl.models.layout_options import LayoutOptions
from ocrvl.models.regions import Region
from ocrvl.settings import DocumentSettings
from ocrvl.triton import context as triton
from ocrvl.triton.loop import LoopThread
from ocrvl.wire import Task, Tensor
from ocrvl_client._documents import decode_document, decode_pages
from perf.harness.documents import DrawnBlock, DrawnPage, draw_document
from tests.support import images

DRAWN = draw_document(6)
OTSL = "<fcel>Tea<fcel>12<nl><fcel>Milk<fcel>34<nl>"
HTML = "<table"


def _known(pixels: npt.NDArray[np.uint8]) -> str:
    """By what a page or a crop is known."""
    return hashlib.sha256(np.ascontiguousarray(pixels).tobytes()).hexdigest()


def tiff(pages: Sequence[DrawnPage]) -> bytes:
    """Without a loss, so that pages and crops are known by their pixels."""
    first, *others = [page.image for page in pages]
    return images.encode(first, "TIFF", save_all=True, append_images=others, compression="tiff_lzw")


class Scripted:
    """The true blocks of drawn pages, and what is written in them; `wait` is called before blocks are read."""

    def __init__(self, pages: Sequence[DrawnPage], wait: Callable[[], Any] = lambda: None) -> None:
        self.blocks = {_known(np.asarray(page.image)): page.blocks for page in pages}
        self.texts = {
            _known(np.asarray(page.image.crop(block.box))): block.text for page in pages for block in page.blocks
        }
        self.tasks: Counter[Task] = Counter()
        self.fail: dict[str, OcrError | str] = {}
        self.ended: list[str] = []
        self.tokens: set[str] = set()
        self.refusals = 0
        self.otsl = OTSL
        self.pages_inside, self.most_pages = 0, 0
        self.wait = wait

    async def find_blocks(self, page: npt.NDArray[np.uint8], options: LayoutOptions, call: triton.Call) -> list[Region]:
        self.pages_inside += 1
        self.most_pages = max(self.most_pages, self.pages_inside)
        await asyncio.sleep(0.001)
        if self.refusals:
            self.refusals -= 1
            self.pages_inside -= 1
            raise Unavailable("restarting")
        return [Region(block.label, 0.9, block.box) for block in self.blocks[_known(page)]]

    async def read_blocks(
        self, crops: Sequence[Crop], options: DocumentOptions, token: str, call: triton.Call
    ) -> list[BlockText]:
        self.tokens.add(token)
        if pause := self.wait():
            await pause
        texts = []
        for crop in crops:
            self.tasks[crop.task] += 1
            text = self.texts.get(_known(crop.pixels), "?")
            failure = next((error for words, error in self.fail.items() if words in text), None)
            if isinstance(failure, Exception):
                raise failure
            texts.append(BlockText(error=failure) if failure else BlockText(self._written(crop, text)))
        self.pages_inside -= 1
        return texts

    def _written(self, crop: Crop, text: str) -> str:
        return self.otsl if crop.task is Task.TABLE else text

    async def end(self, token: str) -> None:
        self.ended.append(token)


class Call:
    """A request, and what it is answered."""

    request_id = "1"
    parameters: Mapping[str, Any] = {}
    trace_headers: Mapping[str, str] = {}
    timeout = None

    def __init__(self, file: bytes, **options: Any) -> None:
        self._tensors = {Tensor.FILE: _one(file), Tensor.OPTIONS: encode_texts([json.dumps(options)])}
        self.sent: list[Mapping[Tensor, Array]] = []
        self.error: Exception | None = None
        self.gone = False
        self.done = threading.Event()

    @property
    def read(self) -> Any:
        return self

    def __call__(self, name: Tensor) -> Array:
        return self._tensors[name]

    def optional(self, name: Tensor) -> Array | None:
        return self._tensors.get(name)

    def is_abandoned(self) -> bool:
        return self.gone

    def send(self, tensors: Mapping[Tensor, Array]) -> None:
        self.sent.append(tensors)

    def answer(self, tensors: Mapping[Tensor, Array]) -> None:
        self.sent.append(tensors)
        self.done.set()

    def fail(self, error: Exception) -> None:
        self.error = error
        self.done.set()

    def end(self) -> None:
        self.done.set()

    def wait(self) -> Call:
        assert self.done.wait(60)
        return self


def _one(value: bytes) -> Array:
    array = np.empty(1, dtype=object)
    array[0] = value
    return array


@pytest.fixture(scope="module")
def pipeline() -> PaddlePipeline:
    return PaddlePipeline()


class Running:
    """A dispatcher and its loop."""

    def __init__(
        self, models: Scripted, pipeline: PaddlePipeline, *, streams: bool, settings: DocumentSettings
    ) -> None:
        self.finished: list[DocumentRequest] = []
        self.loop = LoopThread("documents")
        self.reader = PageReader(
            models, pipeline, settings, unexpected=lambda error: InternalError(f"unexpected {error!r}")
        )
        self.dispatcher = DocumentDispatcher(
            models, self.reader, settings, streams=streams, loop=self.loop, on_finished=self.finished.append
        )

    def ask(self, call: Call) -> Call:
        self.dispatcher.take(call)
        return call

    @property
    def outcomes(self) -> list[tuple[Outcome, int]]:
        """How each document ended, and its pages."""
        return [(request.outcome, request.pages) for request in self.finished]


@contextmanager
def running(
    models: Scripted, pipeline: PaddlePipeline, *, streams: bool = False, settings: DocumentSettings | None = None
) -> Iterator[Running]:
    host = Running(models, pipeline, streams=streams, settings=settings or DocumentSettings())
    try:
        yield host
        host.loop.drain()
    finally:
        host.reader.close()
        host.loop.stop()


def visible(page: DrawnPage) -> list[DrawnBlock]:
    return [block for block in page.blocks if block.label not in ("header", "number")]


def test_a_document_says_what_is_written_in_the_order_in_which_it_is_read(pipeline: PaddlePipeline) -> None:
    models = Scripted(DRAWN)
    with running(models, pipeline) as host:
        document = decode_document(
            host.ask(Call(tiff(DRAWN), prettify_markdown=False, merge_layout_blocks=False)).wait().sent[0]
        )
    assert [page.index for page in document.pages] == list(range(6))
    for page, drawn in zip(document.pages, DRAWN, strict=True):
        assert (page.error, page.warning) == ("", "")
        parts = page.markdown.split("\n\n")
        for part, block in zip([part for part in parts if part.strip()], visible(drawn), strict=True):
            match block.label:
                case "paragraph_title":
                    assert part.lstrip("# ") == block.text
                case "table":
                    assert part.strip().startswith(HTML)
                    assert all(cell in part for cell in ("Tea", "12", "Milk", "34"))
                case "image":
                    (name,) = page.images
                    assert name in part
                    with Image.open(io.BytesIO(page.images[name])) as image:
                        assert image.size == (block.box[2] - block.box[0], block.box[3] - block.box[1])
                case _:
                    assert part == block.text
        assert [block["block_label"] for block in page.content["parsing_res_list"]] == [b.label for b in drawn.blocks]
    assert models.tasks[Task.TABLE] == 2
    assert all(block.text in document.markdown for drawn in DRAWN for block in visible(drawn) if block.label == "text")


def test_it_is_what_paddlexs_own_pipeline_makes_of_the_same_blocks_and_texts(pipeline: PaddlePipeline) -> None:
    from paddlex.inference.common.batch_sampler import ImageBatchSampler
    from paddlex.inference.common.reader import ReadImage
    from paddlex.inference.pipelines.components import CropByBoxes
    from paddlex.inference.pipelines.paddleocr_vl.pipeline import _PaddleOCRVLPipeline

    models = Scripted(DRAWN)
    theirs = _PaddleOCRVLPipeline({}, initial_predictor=False)
    theirs.use_doc_preprocessor = theirs.use_queues = False
    theirs.use_layout_detection = theirs.merge_layout_blocks = True
    theirs.use_chart_recognition = theirs.use_seal_recognition = theirs.use_ocr_for_image_block = False
    theirs.format_block_content, theirs.layout_prep_cpu_workers = False, 0
    theirs.markdown_ignore_labels = DocumentOptions().markdown_ignore_labels
    theirs.batch_sampler, theirs.img_reader = ImageBatchSampler(batch_size=1), ReadImage(format="BGR")
    theirs.crop_by_boxes = CropByBoxes()
    theirs.layout_det_model = lambda images, **_: [
        {"boxes": [Region(b.label, 0.9, b.box).as_paddle() for b in models.blocks[_known(image[..., ::-1])]]}
        for image in images
    ]

    class Recogniser:
        def predict(self, inputs: Sequence[Mapping[str, Any]], **_: Any) -> list[dict[str, str]]:
            return [
                {
                    "result": OTSL
                    if one["query"].startswith("Table")
                    else models.texts.get(_known(one["image"][..., ::-1]), "?")
                }
                for one in inputs
            ]

    theirs.vl_rec_model = Recogniser()
    expected = [next(iter(theirs.predict(np.array(page.image)[..., ::-1].copy()))) for page in DRAWN]

    with running(models, pipeline) as host:
        document = decode_document(host.ask(Call(tiff(DRAWN))).wait().sent[0])
    for page, result in zip(document.pages, expected, strict=True):
        # our names of images have the file and the page in front
        markdown = page.markdown
        for name in page.images:
            markdown = markdown.replace(name, "imgs/" + name.partition("_p")[2].partition("_")[2])
        assert markdown == result._to_markdown()["markdown_texts"]
        wanted = {k: v for k, v in result.json["res"].items() if k not in ("input_path", "page_index", "page_count")}
        assert {k: v for k, v in page.content.items() if k != "page_count"} == json.loads(json.dumps(wanted))


def test_a_stream_sends_pages_in_order_and_then_the_whole(pipeline: PaddlePipeline) -> None:
    pauses = iter([0.3, *[0.0] * 100])
    with running(Scripted(DRAWN, lambda: asyncio.sleep(next(pauses))), pipeline, streams=True) as host:
        call = host.ask(Call(tiff(DRAWN))).wait()
    *pages, last = call.sent
    assert [(page.index, page.done, page.total) for sent in pages for page in decode_pages(sent)] == [
        (number, number + 1, 6) for number in range(6)
    ]
    assert set(last) == {Tensor.DOCUMENT_MARKDOWN, Tensor.DOCX}
    assert host.outcomes == [(Outcome.OK, 6)]


def test_a_few_pages_are_held_at_a_time(pipeline: PaddlePipeline) -> None:
    models = Scripted(DRAWN, lambda: asyncio.sleep(0.02))
    with running(models, pipeline, settings=DocumentSettings(pages_at_once=2)) as host:
        host.ask(Call(tiff(DRAWN))).wait()
    assert models.most_pages == 2


def test_a_block_that_fails_is_said_in_its_place(pipeline: PaddlePipeline) -> None:
    models = Scripted(DRAWN)
    bad = next(block for block in DRAWN[0].blocks if block.label == "text")
    models.fail[bad.text] = "[INVALID_ARG] its aspect ratio is 300"
    with running(models, pipeline) as host:
        document = decode_document(host.ask(Call(tiff(DRAWN[:2]))).wait().sent[0])
        strict = host.ask(Call(tiff(DRAWN[:2]), strict=True)).wait()
    blocks = document.pages[0].content["parsing_res_list"]
    failed = [block for block in blocks if block.get("error")]
    assert [(block["block_bbox"], block["block_content"]) for block in failed] == [(list(bad.box), "")]
    assert failed[0]["error"] == "[INVALID_ARG] its aspect ratio is 300"
    assert len(blocks) == len(DRAWN[0].blocks)
    assert document.pages[1].error == ""
    assert isinstance(strict.error, InvalidArgument)
    assert re.fullmatch(r"page 1: block \d+: its aspect ratio is 300", str(strict.error))


def test_a_table_that_fails_is_no_empty_table(pipeline: PaddlePipeline) -> None:
    models = Scripted(DRAWN)
    page = next(page for page in DRAWN if any(block.label == "table" for block in page.blocks))
    table = next(block for block in page.blocks if block.label == "table")
    models.fail[table.text] = "[INVALID_ARG] no"
    with running(models, pipeline) as host:
        document = decode_document(host.ask(Call(tiff([page]))).wait().sent[0])
    (failed,) = [block for block in document.pages[0].content["parsing_res_list"] if block.get("error")]
    assert (failed["block_label"], failed["block_content"]) == ("table", "")


@pytest.mark.parametrize(
    ("otsl", "reason"),
    [
        ("<ecel>" * 500 + "<fcel>x\n" + "<nl><ecel>" * 500, "a table of 501 rows and 501 columns"),
        ("<fcel><ucel>2<nl><xcel>", "not post-processed"),
    ],
    ids=["too many cells", "malformed"],
)
def test_a_table_that_is_not_converted_is_there_as_it_was_written_and_the_page_says_so(
    pipeline: PaddlePipeline, otsl: str, reason: str
) -> None:
    models = Scripted(DRAWN)
    models.otsl = otsl
    page = next(page for page in DRAWN if any(block.label == "table" for block in page.blocks))
    with running(models, pipeline) as host:
        document = decode_document(host.ask(Call(tiff([page]))).wait().sent[0])
    (read,) = document.pages
    blocks = read.content["parsing_res_list"]
    number = next(number for number, block in enumerate(blocks) if block["block_label"] == "table")
    assert blocks[number]["block_content"] == models.otsl
    assert read.warning.startswith(f"block {number}: {reason}")


def test_a_page_that_is_spotted_and_fails_is_no_empty_page(pipeline: PaddlePipeline) -> None:
    models = Scripted(DRAWN)
    models.texts[_known(np.asarray(DRAWN[0].image))] = "all of it"
    models.fail["all of it"] = "[INVALID_ARG] no"
    with running(models, pipeline) as host:
        call = Call(tiff(DRAWN[:1]), use_layout_detection=False, prompt_label="spotting")
        document = decode_document(host.ask(call).wait().sent[0])
    (block,) = document.pages[0].content["parsing_res_list"]
    assert block["error"] == "[INVALID_ARG] no"


def _page_of_one_table(pipeline: PaddlePipeline, index: int, count: int, text: str) -> PageResult:
    blocks = [Region("table", 0.9, (0, 0, 400, 400))]
    return pipeline.read_page(
        np.full((400, 400, 3), 255, np.uint8),
        blocks,
        DocumentOptions(),
        lambda crops: [BlockText(text) for _ in crops],
        index=index,
        count=count,
        key=f"p{index}",
    )


@pytest.mark.parametrize(
    ("count", "text", "tables"),
    [
        (3, OTSL, 1),
        (60, "<fcel>x" * 20 + ("<nl>" + "<fcel>y" * 20) * 20, 60),
        (2, '<table><tr><td colspan="1000000000">a</td></tr></table>', 2),
        (2, "<table><tr><td colspan='a'>a</td></tr></table>", 2),
    ],
    ids=["ordinary", "more cells than are parsed again and again", "columns", "no number"],
)
def test_tables_go_on_across_pages_where_that_takes_seconds(
    pipeline: PaddlePipeline, count: int, text: str, tables: int
) -> None:
    pages = [_page_of_one_table(pipeline, index, count, text) for index in range(count)]
    parts = pipeline.restructure(pages, DocumentOptions())
    assert sum(bool(block["block_content"]) for part in parts for block in part.pruned()["parsing_res_list"]) == tables


def test_a_page_that_fails_is_said_and_the_others_are_there(pipeline: PaddlePipeline) -> None:
    models = Scripted(DRAWN)
    del models.blocks[_known(np.asarray(DRAWN[1].image))]
    with running(models, pipeline) as host:
        document = decode_document(host.ask(Call(tiff(DRAWN[:3]))).wait().sent[0])
    assert [bool(page.error) for page in document.pages] == [False, True, False]
    assert "unexpected KeyError" in document.pages[1].error


def test_pages_that_are_not_read_in_time_say_so_and_the_others_are_there(pipeline: PaddlePipeline) -> None:
    asked = 0

    def stall_from_the_second() -> Any:
        nonlocal asked
        asked += 1
        return asyncio.sleep(60) if asked > 1 else None

    models = Scripted(DRAWN, stall_from_the_second)
    limits = DocumentSettings(pages_at_once=1, document_seconds=1.5)
    with running(models, pipeline, streams=True, settings=limits) as host:
        call = host.ask(Call(tiff(DRAWN[:4]), cancel_token="0123456789abcdef")).wait()
    assert call.error is None
    pages = [page for sent in call.sent[:-1] for page in decode_pages(sent)]
    assert [page.index for page in pages] == [0, 1, 2, 3]
    assert {page.error for page in pages[1:]} == {
        "not read: the document has taken 1.5 s, ask for the page with the option pages"
    }
    assert call.sent[-1][Tensor.DOCUMENT_MARKDOWN].item().decode() == pages[0].markdown
    assert models.ended == ["0123456789abcdef"]


def test_an_engine_that_restarts_is_waited_for(pipeline: PaddlePipeline) -> None:
    models = Scripted(DRAWN)
    models.refusals = 1
    with running(models, pipeline) as host:
        assert host.ask(Call(tiff(DRAWN[:1]))).wait().error is None


def test_what_stays_away_too_long_fails_the_document_as_unavailable(pipeline: PaddlePipeline) -> None:
    models = Scripted(DRAWN)
    models.refusals = 1000
    with running(models, pipeline, settings=DocumentSettings(retry_timeout_seconds=0.1)) as host:
        call = host.ask(Call(tiff(DRAWN))).wait()
    assert isinstance(call.error, Unavailable)
    assert host.outcomes == [(Outcome.UNAVAILABLE, 0)]


@pytest.mark.parametrize("how", ["caller", "timeout"])
def test_a_document_that_is_ended_ends_its_blocks(pipeline: PaddlePipeline, how: str) -> None:
    models = Scripted(DRAWN, lambda: asyncio.sleep(60))
    options = {"timeout_ms": 500} if how == "timeout" else {}
    with running(models, pipeline) as host:
        call = host.ask(Call(tiff(DRAWN), cancel_token="x" * 16, **options))
        # on a busy machine the time may pass before the file is drawn
        while not models.tokens and not call.done.is_set():
            time.sleep(0.01)
        call.gone = how == "caller"
        host.dispatcher.end_abandoned()
        call.wait()
    assert isinstance(call.error, Cancelled)
    assert models.ended == ["x" * 16]
    assert models.tokens <= {"x" * 16}
    assert host.dispatcher.admission.admitted == 0


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (Call(b"hello"), "neither a PDF nor an image"),
        (Call(b""), "no bytes"),
        (Call(tiff(DRAWN[:1]), pages="7"), "'7' not found"),
        (Call(tiff(DRAWN[:1]), page=1), "unknown key 'page'"),
        (Call(bytes(2000)), "at most 1000 are taken"),
    ],
    ids=["text", "nothing", "no such page", "unknown option", "too large"],
)
def test_what_cannot_be_read_is_refused_and_the_next_is_read(pipeline: PaddlePipeline, call: Call, reason: str) -> None:
    limits = DocumentSettings(max_documents=1, max_file_bytes=1000 if "1000" in reason else 10**9)
    with running(Scripted(DRAWN), pipeline, settings=limits) as host:
        assert reason in str(host.ask(call).wait().error)
        if limits.max_file_bytes > 1000:
            assert host.ask(Call(tiff(DRAWN[:1]))).wait().error is None


def test_of_a_page_with_two_thousand_blocks_the_first_are_read_and_that_is_said(pipeline: PaddlePipeline) -> None:
    models = Scripted(DRAWN)
    key = _known(np.asarray(DRAWN[0].image))
    models.blocks[key] = [
        DrawnBlock("text", (20 * x, 20 * y, 20 * x + 15, 20 * y + 15), "") for y in range(50) for x in range(40)
    ]
    with running(models, pipeline, settings=DocumentSettings(max_page_blocks=300)) as host:
        document = decode_document(host.ask(Call(tiff(DRAWN[:1]))).wait().sent[0])
    assert document.pages[0].warning == "2000 blocks, the first 300 are read"
    assert models.tasks[Task.OCR] <= 300


def _page(*lines: str) -> DrawnPage:
    """A page with lines of text, of which a layout model finds nothing."""
    image = Image.new("RGB", (600, 800), "white")
    pen = ImageDraw.Draw(image)
    for number, line in enumerate(lines):
        pen.text((50, 100 + 40 * number), line, fill="black", font_size=24)
    return DrawnPage(image)


def test_print_of_which_no_blocks_were_found_is_read_as_one_and_that_is_said(pipeline: PaddlePipeline) -> None:
    page = _page("Keep cold", "and dry")
    box = find_ink(np.asarray(page.image))
    assert box is not None
    models = Scripted([page])
    models.texts[_known(np.asarray(page.image.crop(box)))] = "Keep cold and dry"
    with running(models, pipeline) as host:
        (read,) = decode_document(host.ask(Call(tiff([page]))).wait().sent[0]).pages
    assert read.markdown == "Keep cold and dry"
    assert read.warning == "no blocks were found on the page: what is printed is read as one"


def test_a_blank_page_is_said_to_be_blank(pipeline: PaddlePipeline) -> None:
    models = Scripted([_page()])
    with running(models, pipeline) as host:
        (read,) = decode_document(host.ask(Call(tiff([_page()]))).wait().sent[0]).pages
    assert (read.markdown, read.error, read.warning) == ("", "", "the page is blank")
    assert not models.tasks


@pytest.mark.parametrize(
    ("label", "text", "warning"),
    [
        ("header", "Chapter One", "the Markdown leaves out all that was read: header (markdown_ignore_labels)"),
        ("text", "", "nothing was read on the page"),
        ("text", "Chapter One", ""),
    ],
)
def test_a_page_without_markdown_says_why(pipeline: PaddlePipeline, label: str, text: str, warning: str) -> None:
    page = _page("Chapter One")
    page = DrawnPage(page.image, [DrawnBlock(label, (40, 90, 300, 140), text)])
    with running(Scripted([page]), pipeline) as host:
        (read,) = decode_document(host.ask(Call(tiff([page]))).wait().sent[0]).pages
    assert read.warning == warning


def test_blocks_outside_the_page_or_without_a_size_are_left_out(pipeline: PaddlePipeline) -> None:
    models = Scripted(DRAWN)
    key = _known(np.asarray(DRAWN[0].image))
    good = DRAWN[0].blocks[2]
    models.blocks[key] = [
        good,
        DrawnBlock("text", (-500, -500, -10, -10), ""),
        DrawnBlock("image", (5000, 10, 6000, 90), ""),
        DrawnBlock("table", (10, 10, 10, 10), ""),
    ]
    with running(models, pipeline) as host:
        document = decode_document(host.ask(Call(tiff(DRAWN[:1]))).wait().sent[0])
    assert document.pages[0].markdown == good.text


def test_without_layout_a_page_is_one_block_of_the_kind_that_is_said(pipeline: PaddlePipeline) -> None:
    models = Scripted(DRAWN)
    models.texts[_known(np.asarray(DRAWN[0].image))] = "all of it"
    with running(models, pipeline) as host:
        for label, task in (("ocr", Task.OCR), ("formula", Task.FORMULA), ("chart", Task.CHART)):
            call = Call(tiff(DRAWN[:1]), use_layout_detection=False, prompt_label=label)
            assert host.ask(call).wait().error is None
            assert models.tasks[task] == 1


def test_pages_that_are_restructured_have_levels_of_titles(pipeline: PaddlePipeline) -> None:
    with running(Scripted(DRAWN), pipeline, streams=True) as host:
        call = host.ask(Call(tiff(DRAWN), restructure_pages=True)).wait()
    pages = [page for sent in call.sent[:-1] for page in decode_pages(sent)]
    whole = call.sent[-1][Tensor.DOCUMENT_MARKDOWN].item().decode()
    assert whole == "\n\n".join(page.markdown for page in pages)
    assert all("global_block_id" in block for page in pages for block in page.content["parsing_res_list"])


def test_a_document_for_word_has_its_texts_and_images(pipeline: PaddlePipeline) -> None:
    with running(Scripted(DRAWN), pipeline) as host:
        call = host.ask(Call(tiff(DRAWN), output_formats=["docx"], merge_layout_blocks=False)).wait()
    document = decode_document(call.sent[0])
    word = docx.Document(io.BytesIO(document.docx))
    written = "\n".join(paragraph.text for paragraph in word.paragraphs)
    assert all(block.text in written for page in DRAWN for block in page.blocks if block.label == "text")
    assert len(word.inline_shapes) == sum(block.label == "image" for page in DRAWN for block in page.blocks)


def test_pages_are_sent_with_their_blocks_drawn_where_that_is_asked_for(pipeline: PaddlePipeline) -> None:
    with running(Scripted(DRAWN), pipeline) as host:
        call = host.ask(Call(tiff(DRAWN[:1]), visualize=True, return_markdown_images=False)).wait()
    ((name, data),) = decode_document(call.sent[0]).pages[0].images.items()
    assert name == "page_0001.jpg"
    with Image.open(io.BytesIO(data)) as image:
        assert image.size == DRAWN[0].image.size
        left, top, _, bottom = DRAWN[0].blocks[2].box
        # the edge of a box where the page is white
        assert np.asarray(image)[(top + bottom) // 2, left].max() < 200


def test_pages_are_sent_as_they_were_read_where_that_is_asked_for(pipeline: PaddlePipeline) -> None:
    with running(Scripted(DRAWN), pipeline) as host:
        call = host.ask(Call(tiff(DRAWN[:1]), return_page_images=True, return_markdown_images=False)).wait()
    ((name, data),) = decode_document(call.sent[0]).pages[0].images.items()
    assert name == "page_0001_input.jpg"
    with Image.open(io.BytesIO(data)) as image:
        drawn = np.asarray(DRAWN[0].image.convert("RGB"), np.int16)
        assert np.abs(np.asarray(image, np.int16) - drawn).mean() < 3


def test_more_pages_than_the_request_allows_are_refused_before_any_is_read(pipeline: PaddlePipeline) -> None:
    models = Scripted(DRAWN)
    with running(models, pipeline) as host:
        call = host.ask(Call(tiff(DRAWN), max_pages=2)).wait()
    assert isinstance(call.error, InvalidArgument)
    assert "at most 2 are read" in str(call.error)
    assert not models.tasks


def test_images_of_two_documents_have_names_of_their_own(pipeline: PaddlePipeline) -> None:
    page = next(page for page in DRAWN if any(block.label == "image" for block in page.blocks))
    names = []
    with running(Scripted(DRAWN), pipeline) as host:
        for pages in ([page, page], [page]):
            names += [
                name for one in decode_document(host.ask(Call(tiff(pages))).wait().sent[0]).pages for name in one.images
            ]
    assert len(names) == len(set(names)) == 3


def test_a_page_has_nothing_by_default() -> None:
    assert Page(3).images == {}
