"""An instance of `document` or `document_stream`: whole files through the other models of the server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import torch

from ocrvl.control_channel.address import channel_folder
from ocrvl.control_channel.client import ControlClient
from ocrvl.control_channel.engine_gate import EngineGate
from ocrvl.engine_settings import EngineSettings
from ocrvl.errors import InvalidArgument, OcrError, Unavailable, error_from_message
from ocrvl.imaging.grid import PixelGrid
from ocrvl.imaging.patches import cut_patches, resize_to_grid
from ocrvl.messages import PackedImages, decode_texts, encode_texts
from ocrvl.metrics.definitions import DocumentMetrics, Outcome
from ocrvl.metrics.mirror import FamilyFactory
from ocrvl.models.background import end_with_server, look_after_callers, publish_metrics
from ocrvl.models.document.drawing import DrawTimes
from ocrvl.models.document.fair_limiter import FairLimiter
from ocrvl.models.document.host import DocumentCall, DocumentHost, Limits
from ocrvl.models.document.options import DocumentOptions
from ocrvl.models.document.paddle import BlockText, Crop, PaddlePipeline
from ocrvl.models.layout_options import LayoutOptions
from ocrvl.models.regions import Region, decode_regions
from ocrvl.models.request_record import logfmt
from ocrvl.options import Options
from ocrvl.settings import DocumentSettings, parse_parameters
from ocrvl.triton.context import CallModel, Log, ModelContext
from ocrvl.triton.loop import LoopThread
from ocrvl.wire import PART_PARAMETER, Model, Tensor

_LOOK_SECONDS = 0.1
"""How often callers are looked at, whether they are still there."""

_PART = {PART_PARAMETER: True}
_READING = (Tensor.TEXT, Tensor.ERROR)

_TOGETHER = 4
"""Blocks of one page in one call to the engine: it lets them in together, so a few are let in sooner than many."""


class DocumentModel:
    """Several documents at a time. `streams` says whether their pages are sent one by one."""

    def __init__(
        self,
        context: ModelContext,
        call_model: CallModel,
        unexpected: Callable[[Exception], OcrError],
        families: FamilyFactory,
        log: Log,
        *,
        streams: bool,
    ) -> None:
        # one thread for each operation: pages are what runs side by side
        torch.set_num_threads(1)
        settings = parse_parameters(DocumentSettings, context.parameters, context.config_file)
        self._log = log if settings.log_requests else None
        self._metrics = DocumentMetrics()
        # each call to another model holds a thread here until it is answered
        self._loop = LoopThread("documents", ThreadPoolExecutor(settings.max_calls))
        gate = EngineGate()
        self._channel = ControlClient(channel_folder(), gate.update, gate.lose)
        engine = EngineSettings.from_folder(context.version_folder(Model.ENGINE))
        self._models = TritonModels(
            call_model,
            self._channel,
            gate,
            engine.grid,
            FairLimiter(settings.max_blocks or default_max_blocks(engine)),
            settings.max_calls,
        )
        limits = Limits(
            max_documents=settings.max_documents,
            max_pages=settings.max_pages,
            max_file_bytes=settings.max_file_bytes,
            max_page_pixels=settings.max_page_pixels,
            max_blocks=settings.max_page_blocks,
            pages_at_once=settings.pages_at_once,
            retry_timeout_seconds=settings.retry_timeout_seconds,
            draw_times=DrawTimes(settings.draw_seconds, settings.document_draw_seconds),
            document_seconds=settings.document_seconds,
        )
        self._host = DocumentHost(
            self._models,
            PaddlePipeline(),
            limits,
            streams=streams,
            unexpected=unexpected,
            on_finished=self._on_finished,
            on_stage=lambda stage, seconds: self._metrics.seconds.labels(stage).observe(seconds),
            on_cancelled=lambda reason: self._metrics.cancellations.labels(reason).inc(),
        )
        end_with_server()
        self._loop.run(self._channel.start())
        self._stop_looking = look_after_callers(self._host.end_abandoned, _LOOK_SECONDS)
        self._publisher = publish_metrics(
            self._metrics, context.replica, families, log, before_publish=[self._set_gauges]
        )

    def take(self, call: DocumentCall) -> None:
        """Take a request in; waits while too many documents are under way."""
        self._host.take(call, self._loop)

    def stop(self) -> None:
        """Wait for what is under way, then stop everything."""
        self._loop.drain()
        self._host.stop()
        self._stop_looking()
        self._publisher.stop()
        self._loop.run(self._channel.stop())
        self._loop.stop()

    def _set_gauges(self) -> None:
        self._metrics.open.set(self._host.open_documents)
        self._metrics.blocks.set(self._models.blocks_in_flight)

    def _on_finished(self, outcome: Outcome, pages: int, seconds: float, request_id: str) -> None:
        self._metrics.documents.labels(outcome).inc()
        self._metrics.pages.inc(pages)
        if self._log:
            fields = {"request_id": request_id, "outcome": outcome, "pages": pages, "seconds": round(seconds, 4)}
            self._log.info(logfmt("document", fields))


def default_max_blocks(engine: EngineSettings) -> int:
    """Half of what an engine runs at once: enough to keep it busy, and room for others beside it."""
    return max(2 * _TOGETHER, engine.max_num_seqs // 2)


def to_blocks(texts: Sequence[str], errors: Sequence[str]) -> list[BlockText]:
    """The blocks that the engine's model answered with.

    Raises `Unavailable` where one was not read for the engine's sake: that is no error of the block, which can be read
    when the engine is there again.
    """
    for error in filter(None, errors):
        known = error_from_message(error)
        if isinstance(known, Unavailable):
            raise known
    return [BlockText(text, error) for text, error in zip(texts, errors, strict=True)]


class TritonModels:
    """`layout` and `paddleocr_vl` of the same server."""

    def __init__(
        self,
        call_model: CallModel,
        channel: ControlClient,
        gate: EngineGate,
        grid: PixelGrid,
        limiter: FairLimiter,
        max_calls: int,
    ) -> None:
        self._call_model = call_model
        self._channel = channel
        self._gate = gate
        self._grid = grid
        self._limiter = limiter
        # a call that waited for a thread would hold room for nothing
        self._calls = asyncio.Semaphore(max_calls)
        self._threads = ThreadPoolExecutor(max_calls, "blocks")

    @property
    def blocks_in_flight(self) -> int:
        """Blocks on their way to the engines."""
        return self._limiter.inside

    async def find_blocks(
        self, page: npt.NDArray[np.uint8], options: LayoutOptions, call: DocumentCall
    ) -> list[Region]:
        """What `layout` finds."""
        tensors = {
            Tensor.PIXELS: page[None],
            Tensor.OPTIONS: encode_texts([options.model_dump_json(exclude_defaults=True)])[None],
        }
        async with self._calls:
            found = [Tensor.LABEL, Tensor.SCORE, Tensor.BOX, Tensor.POLYGON]
            answer = await self._call_model(call, Model.LAYOUT, tensors, found, _PART)
        return decode_regions(answer)

    async def read_blocks(
        self, crops: Sequence[Crop], options: DocumentOptions, token: str, call: DocumentCall
    ) -> list[BlockText]:
        """What the engine reads, a few blocks of a page at a time."""
        asked = Options(
            max_tokens=options.max_new_tokens,
            temperature=options.temperature or 0.0,
            top_p=options.top_p or 1.0,
            repetition_penalty=options.repetition_penalty or 1.0,
            stop_repetition=options.stop_repetition,
            # what becomes of the model's words is up to PaddleOCR's rules for documents
            raw=True,
            on_error="keep",
            cancel_token=token,
        )
        groups = [crops[start : start + _TOGETHER] for start in range(0, len(crops), _TOGETHER)]
        try:
            async with asyncio.TaskGroup() as tasks:
                readings = [tasks.create_task(self._read_group(group, asked, call)) for group in groups]
        except ExceptionGroup as failures:
            # whoever waits knows what to do with one of ours, such as an engine that restarts
            raise failures.exceptions[0] from None
        return [text for reading in readings for text in reading.result()]

    async def end(self, token: str) -> None:
        """End what the engines read under this token."""
        await self._channel.cancel(token)

    async def _read_group(self, crops: Sequence[Crop], options: Options, call: DocumentCall) -> list[BlockText]:
        run = asyncio.get_running_loop().run_in_executor
        async with self._limiter.enter(call, len(crops)):
            packed = await run(self._threads, self._pack, crops, options)
            async with self._calls:
                await run(self._threads, self._gate.wait, None)
                answer = await self._call_model(call, Model.ENGINE, packed.encode_tensors(), _READING, _PART)
        texts, errors = (decode_texts(answer(name), name) for name in (Tensor.TEXT, Tensor.ERROR))
        return to_blocks(texts, errors)

    def _pack(self, crops: Sequence[Crop], options: Options) -> PackedImages:
        cut, errors = [], []
        for crop in crops:
            try:
                grid = self._grid.limited(crop.task, crop.min_pixels, crop.max_pixels)
                cut.append(cut_patches(resize_to_grid(crop.pixels, grid), grid))
                errors.append("")
            except InvalidArgument as error:
                cut.append((np.empty((0, 3 * self._grid.patch_size**2), np.uint8), (0, 0, 0)))
                errors.append(error.tagged)
        return PackedImages(
            patches=np.concatenate([patches for patches, _ in cut]),
            grids=np.array([grid for _, grid in cut], np.int64),
            source_sizes=np.array([crop.pixels.shape[1::-1] for crop in crops], np.int32),
            tasks=tuple(crop.task for crop in crops),
            errors=tuple(errors),
            warnings=("",) * len(crops),
            options=options,
        )
