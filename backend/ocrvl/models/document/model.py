"""The models `document` and `document_stream`: whole files through the other models of the server."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import torch

from ocrvl.control_channel.address import channel_folder
from ocrvl.control_channel.client import ControlClient
from ocrvl.control_channel.engine_gate import EngineGate
from ocrvl.engine_settings import EngineSettings
from ocrvl.errors import OcrError
from ocrvl.metrics.definitions import DocumentMetrics
from ocrvl.metrics.mirror import FamilyFactory
from ocrvl.models.background import end_with_server, publish_metrics, watch_callers
from ocrvl.models.document.bls import GROUP, BlsModels
from ocrvl.models.document.dispatcher import DocumentDispatcher
from ocrvl.models.document.paddle import PaddlePipeline
from ocrvl.models.document.page_reader import PageReader
from ocrvl.models.document.request import DocumentRequest
from ocrvl.models.fair_limiter import FairLimiter, half_of
from ocrvl.settings import DocumentSettings, parse_parameters
from ocrvl.triton.context import Call, CallModel, Log, ModelContext
from ocrvl.triton.loop import LoopThread
from ocrvl.wire import Model

_ABANDONED_SECONDS: Final = 0.1
"""How often it is checked whether callers have gone away."""


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
        limiter = FairLimiter(settings.max_blocks or half_of(engine, 2 * GROUP))
        self._models = BlsModels(call_model, self._channel, gate, engine.grid, limiter, settings.max_calls)
        self._reader = PageReader(
            self._models,
            PaddlePipeline(),
            settings,
            unexpected=unexpected,
            on_stage=lambda stage, seconds: self._metrics.seconds.labels(stage).observe(seconds),
        )
        self._dispatcher = DocumentDispatcher(
            self._models,
            self._reader,
            settings,
            streams=streams,
            loop=self._loop,
            on_finished=self._on_finished,
            adapters=engine.adapters,
        )
        end_with_server()
        self._loop.run(self._channel.start())
        self._stop_watching = watch_callers(self._dispatcher.end_abandoned, _ABANDONED_SECONDS)
        self._publisher = publish_metrics(
            self._metrics, context.replica, families, log, before_publish=[self._set_gauges]
        )

    def take(self, call: Call) -> None:
        """Take a request; waits while there are too many."""
        self._dispatcher.take(call)

    def stop(self) -> None:
        """Wait for the documents that are running, then stop everything."""
        self._loop.drain()
        self._reader.close()
        self._stop_watching()
        self._publisher.stop()
        self._loop.run(self._channel.stop())
        self._loop.stop()

    def _set_gauges(self) -> None:
        self._metrics.open.set(self._dispatcher.admission.admitted)
        self._metrics.blocks.set(self._models.blocks_in_flight)

    def _on_finished(self, request: DocumentRequest) -> None:
        self._metrics.documents.labels(request.outcome).inc()
        self._metrics.pages.inc(request.pages)
        if request.cancelled_by:
            self._metrics.cancellations.labels(request.cancelled_by).inc()
        if self._log:
            self._log.info(request.line())
