"""The model `receipt`: images in, their fields out, through the other models of the server."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Final

from ocrvl.control_channel.address import channel_folder
from ocrvl.control_channel.client import ControlClient
from ocrvl.control_channel.engine_gate import EngineGate
from ocrvl.engine_settings import EngineSettings
from ocrvl.imaging.decode import ImageLimits
from ocrvl.metrics.definitions import ReceiptMetrics
from ocrvl.metrics.mirror import FamilyFactory
from ocrvl.models.background import end_with_server, publish_metrics, watch_callers
from ocrvl.models.fair_limiter import FairLimiter, half_of
from ocrvl.models.receipt.bls import GROUP, BlsModels
from ocrvl.models.receipt.detector import EmbeddedDetector, TextDetector
from ocrvl.models.receipt.dispatcher import ReceiptDispatcher
from ocrvl.models.receipt.looking import Looker
from ocrvl.models.receipt.reader import ReceiptReader
from ocrvl.models.receipt.request import ReceiptRequest
from ocrvl.settings import ReceiptSettings, parse_parameters
from ocrvl.triton.context import Call, CallModel, Log, ModelContext
from ocrvl.triton.loop import LoopThread
from ocrvl.wire import Model

_ABANDONED_SECONDS: Final = 0.1
"""How often it is checked whether callers have gone away."""


class ReceiptModel:
    """Several receipts at a time. `call_model` calls another model of this server."""

    def __init__(self, context: ModelContext, call_model: CallModel, families: FamilyFactory, log: Log) -> None:
        settings = parse_parameters(ReceiptSettings, context.parameters, context.config_file)
        self._log = log if settings.log_requests else None
        self._metrics = ReceiptMetrics()
        # each call to another model holds a thread here until it is answered
        self._loop = LoopThread("receipts", ThreadPoolExecutor(settings.max_calls))
        # calls go to `ocr`, whose first step waits for engines: what they say of themselves is not needed here
        gate = EngineGate()
        self._channel = ControlClient(channel_folder(), gate.update, gate.lose)
        engine = EngineSettings.from_folder(context.version_folder(Model.ENGINE))
        limiter = FairLimiter(settings.max_lines or half_of(engine, 2 * GROUP))
        self._models = BlsModels(call_model, self._channel, limiter, settings.max_calls)
        self._reader = ReceiptReader(
            self._models,
            Looker(_load_detector(settings, context), _limits(settings), settings.looking_threads),
            settings,
            on_stage=lambda stage, seconds: self._metrics.seconds.labels(stage).observe(seconds),
        )
        self._dispatcher = ReceiptDispatcher(
            self._models,
            self._reader,
            settings,
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
        """Wait for the receipts that are running, then stop everything."""
        self._loop.drain()
        self._reader.close()
        self._stop_watching()
        self._publisher.stop()
        self._loop.run(self._channel.stop())
        self._loop.stop()

    def _set_gauges(self) -> None:
        self._metrics.open.set(self._dispatcher.admission.admitted)
        self._metrics.in_flight.set(self._models.lines_in_flight)

    def _on_finished(self, request: ReceiptRequest) -> None:
        self._metrics.receipts.labels(request.outcome).inc()
        if request.error is None:
            self._metrics.lines.inc(request.lines)
        if request.cancelled_by:
            self._metrics.cancellations.labels(request.cancelled_by).inc()
        if self._log:
            self._log.info(request.line())


def _load_detector(settings: ReceiptSettings, context: ModelContext) -> TextDetector | None:
    if settings.detector == "spotting":
        return None
    try:
        return EmbeddedDetector(settings.detector_side, settings.detector_file)
    except ImportError as error:
        raise ValueError(
            f"{context.config_file}: parameters: detector: {settings.detector} needs the extra 'receipt' of ocrvl "
            f"({error})"
        ) from error
    except ValueError as error:
        raise ValueError(f"{context.config_file}: parameters: {error}") from error


def _limits(settings: ReceiptSettings) -> ImageLimits:
    return ImageLimits(
        max_bytes=settings.max_image_bytes,
        max_pixels=settings.max_image_pixels,
        max_seconds=settings.max_image_seconds,
    )
