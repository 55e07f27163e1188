"""The model `preprocess`: one request at a time, and none while every engine is full."""

from __future__ import annotations

import io
import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import torch
from PIL import Image

from ocrvl.control_channel.address import channel_folder
from ocrvl.control_channel.client import ControlClient
from ocrvl.control_channel.engine_gate import EngineGate
from ocrvl.engine_settings import EngineSettings
from ocrvl.errors import InvalidArgument, Unavailable
from ocrvl.imaging.decode import ImageLimits
from ocrvl.imaging.decoder import DecoderProcess
from ocrvl.messages import Array, PackedImages, decode_texts, parse_task
from ocrvl.metrics.definitions import PreprocessMetrics, RefusalReason
from ocrvl.metrics.mirror import FamilyFactory
from ocrvl.models.background import end_with_server, publish_metrics
from ocrvl.models.preprocess.pipeline import Preprocessor
from ocrvl.models.preprocess.watch import Watch
from ocrvl.models.request import Request
from ocrvl.options import Options, check_adapters, parse_options
from ocrvl.settings import PreprocessSettings, parse_parameters
from ocrvl.triton.context import InferenceRequest, Log, ModelContext
from ocrvl.triton.loop import LoopThread
from ocrvl.triton.shared_memory import check_shared_memory
from ocrvl.wire import Model, Task, Tensor

_REFUSALS: Mapping[type[Exception], RefusalReason] = {
    InvalidArgument: RefusalReason.INVALID,
    Unavailable: RefusalReason.DOWN,
}


class PreprocessModel:
    """Turns requests to `ocr` into packed images."""

    def __init__(self, context: ModelContext, families: FamilyFactory, log: Log) -> None:
        # there are as many instances as cores: threads of one would only take them from the others
        torch.set_num_threads(1)
        self._log = log
        self._settings = parse_parameters(PreprocessSettings, context.parameters, context.config_file)
        limits = ImageLimits(
            max_bytes=self._settings.max_image_bytes,
            max_pixels=self._settings.max_image_pixels,
            max_seconds=self._settings.max_image_seconds,
            max_request_seconds=self._settings.max_request_seconds,
            max_patch_bytes=self._settings.max_patch_bytes,
        )
        self._metrics = PreprocessMetrics()
        self._decoder = DecoderProcess()
        engine = EngineSettings.from_folder(context.version_folder(Model.ENGINE))
        self._adapters = engine.adapters
        self._preprocessor = Preprocessor(
            engine.grid,
            limits,
            scaled_jpeg=self._settings.scaled_jpeg,
            exact_resize=self._settings.exact_resize,
            decoder=self._decoder,
            max_tokens=engine.engine_args.get("max_model_len"),
            timer=lambda stage: self._metrics.seconds.labels(stage).time(),
        )
        self._warm_up()
        self._gate = EngineGate()
        self._loop = LoopThread("control")
        self._channel = ControlClient(channel_folder(), self._gate.update, self._gate.lose)
        end_with_server()
        self._loop.run(self._channel.start())
        self._publisher = publish_metrics(self._metrics, context.replica, families, log)

    def preprocess(self, call: InferenceRequest) -> Mapping[Tensor, Array]:
        """The tensors for the engine. Raises `OcrError`, of which the log has a line: the engine never hears of it."""
        request = Request(call)
        try:
            return self._preprocess(request)
        except Exception as error:
            request.finish(error)
            if reason := _REFUSALS.get(type(error)):
                self._metrics.refusals.labels(reason).inc()
            if self._settings.log_requests:
                self._log.info(request.line())
            raise

    def stop(self) -> None:
        """Close the connections to the engines, and end the process that decodes."""
        self._decoder.close()
        self._publisher.stop()
        self._loop.run(self._channel.stop())
        self._loop.stop()

    def _preprocess(self, request: Request[InferenceRequest]) -> Mapping[Tensor, Array]:
        read = request.call.read
        tasks = [Task.OCR]
        if (task := read.optional(Tensor.TASK)) is not None:
            tasks = [parse_task(text) for text in decode_texts(task, Tensor.TASK)]
        raw = read.optional(Tensor.OPTIONS)
        options = parse_options(None if raw is None else raw.item())
        check_adapters(options.adapter, self._adapters)
        images = read(Tensor.IMAGE).tolist()
        self._check_size(images)
        request.set_timeout(None if options.timeout_ms is None else options.timeout_ms / 1000)
        request.set_timeout(request.call.timeout)
        with self._metrics.gate_wait.time():
            self._gate.wait(request.deadline)
        request.admitted_at = time.monotonic()
        packed = self._preprocessor.preprocess(images, tasks, options, Watch(request).check)
        self._count(images, packed)
        tensors = replace(packed, options=_with_time_left(options, request)).encode_tensors()
        check_shared_memory(packed.patches.nbytes)
        return tensors

    def _count(self, images: list[bytes], packed: PackedImages) -> None:
        self._metrics.images.inc(len(packed))
        self._metrics.pixels.inc(int(packed.source_sizes.prod(axis=1, dtype=np.int64).sum()))
        self._metrics.bytes.inc(sum(map(len, images)))

    def _warm_up(self) -> None:
        """Decode an image of each common format, so that the first caller does not wait for their decoders."""
        for image_format in ("PNG", "JPEG"):
            file = io.BytesIO()
            Image.new("RGB", (64, 64), "white").save(file, image_format)
            replace(self._preprocessor, timer=nullcontext).preprocess([file.getvalue()], [Task.OCR], Options())

    def _check_size(self, images: list[bytes]) -> None:
        size = sum(map(len, images))
        if size > self._settings.max_request_bytes:
            raise InvalidArgument(
                f"the images of this request have {size} bytes, {self._settings.max_request_bytes} are taken: "
                "send fewer at once"
            )


def _with_time_left(options: Options, request: Request[InferenceRequest]) -> Options:
    """The options with what is left of `timeout_ms`, since the engine counts from when it takes the request."""
    if request.deadline is None:
        return options
    request.check()
    return options.model_copy(update={"timeout_ms": max(1, round(1000 * (request.deadline - time.monotonic())))})
