"""The model `ocr_stream`: sends requests on to `ocr`, and their text back as it is generated."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Final

from ocrvl.control_channel.address import channel_folder
from ocrvl.control_channel.client import ControlClient
from ocrvl.metrics.definitions import StreamMetrics
from ocrvl.metrics.mirror import FamilyFactory
from ocrvl.models.background import end_with_server, publish_metrics, watch_callers
from ocrvl.models.stream.dispatcher import StreamDispatcher
from ocrvl.models.stream.request import StreamRequest
from ocrvl.settings import StreamSettings, parse_parameters
from ocrvl.triton.context import Call, CallModel, Log, ModelContext
from ocrvl.triton.loop import LoopThread
from ocrvl.wire import STREAM_PARAMETER, Model, Tensor

_ABANDONED_SECONDS: Final = 0.1
"""How often it is checked whether callers have gone away."""


class StreamModel:
    """Several streams at a time. `call_model` calls another model of this server."""

    def __init__(self, context: ModelContext, call_model: CallModel, families: FamilyFactory, log: Log) -> None:
        settings = parse_parameters(StreamSettings, context.parameters, context.config_file)
        self._call_model = call_model
        self._metrics = StreamMetrics()
        # each call to another model holds a thread here until it is answered
        self._loop = LoopThread("streams", ThreadPoolExecutor(settings.max_calls))
        self._dispatcher = StreamDispatcher(
            self._call_ocr,
            settings.max_calls,
            loop=self._loop,
            on_finished=self._on_finished,
            on_delta=self._metrics.deltas.inc,
        )
        self._channel = ControlClient(channel_folder(), self._dispatcher.on_message, self._dispatcher.on_lost)
        self._dispatcher.channel = self._channel
        end_with_server()
        self._loop.run(self._channel.start())
        self._stop_watching = watch_callers(self._dispatcher.end_abandoned, _ABANDONED_SECONDS)
        self._publisher = publish_metrics(
            self._metrics,
            context.replica,
            families,
            log,
            before_publish=[lambda: self._metrics.streams_open.set(self._dispatcher.admission.admitted)],
        )

    def take(self, call: Call) -> None:
        """Take a request; waits while there are too many."""
        self._dispatcher.take(call)

    def stop(self) -> None:
        """Wait for the requests that are running, then stop everything."""
        self._loop.drain()
        self._stop_watching()
        self._publisher.stop()
        self._loop.run(self._channel.stop())
        self._loop.stop()

    async def _call_ocr(self, call: Call, address: str) -> None:
        await self._call_model(call, Model.OCR, None, [Tensor.NUM_OUTPUT_TOKENS], {STREAM_PARAMETER: address})

    def _on_finished(self, request: StreamRequest) -> None:
        if request.cancelled_by:
            self._metrics.cancellations.labels(request.cancelled_by).inc()
