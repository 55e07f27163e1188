"""What the engine's model is measured against: the same engine, and nothing between it and Triton.

No admission, no control channel, no supervision, no metrics, no log: each request is answered once, through its
response sender.
"""

import locale

# The stub's interpreter has an ASCII locale whatever its environment says, and vLLM does not import in it.
locale.setlocale(locale.LC_ALL, "C.UTF-8")

import asyncio

from ocrvl.engine_settings import EngineSettings
from ocrvl.messages import encode_readings
from ocrvl.models.engine.reader import read_images
from ocrvl.models.engine.request import EngineRequest
from ocrvl.models.engine.results import finish_reading, order_readings
from ocrvl.models.engine.vllm_engine import VllmEngine
from ocrvl.postprocess import load_paddle_functions
from ocrvl.triton import backend
from ocrvl.triton.context import ModelContext
from ocrvl.triton.loop import LoopThread
from ocrvl.wire import Model


class TritonPythonModel:
    """Answers each request when its images are done."""

    def initialize(self, args: dict[str, str]) -> None:
        self._settings = EngineSettings.from_folder(ModelContext.from_args(args).version_folder(Model.ENGINE))
        self._loop = LoopThread("engine")
        self._engine = VllmEngine.start(self._settings)
        self._paddle = load_paddle_functions()

    def execute(self, requests: list[backend.Request]) -> None:
        for request in requests:
            self._loop.submit(self._serve(backend.Call(request)))

    def finalize(self) -> None:
        self._loop.drain()
        self._loop.run(asyncio.to_thread(self._engine.stop))
        self._loop.stop()

    async def _serve(self, call: backend.Call) -> None:
        try:
            request = EngineRequest(call)
            request.decode(self._settings.grid)
            readings = [
                finish_reading(request.packed, reading, self._paddle)
                async for reading in read_images(self._engine, request)
            ]
            call.answer(encode_readings(order_readings(request.packed, readings)))
        except Exception as error:
            call.fail(error)
