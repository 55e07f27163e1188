"""Packed patches to text: wraps one vLLM engine, which batches all requests continuously."""

import locale

# The stub's interpreter has an ASCII locale whatever its environment says, and vLLM does not import in it.
locale.setlocale(locale.LC_ALL, "C.UTF-8")

import asyncio
from contextlib import aclosing

from ocrvl.collect import collect_readings
from ocrvl.engine.serve import read_pictures
from ocrvl.engine.vllm_engine import VllmEngine
from ocrvl.hop import PackedPictures, encode_readings
from ocrvl.postprocess import load_paddle_functions
from ocrvl.triton import backend
from ocrvl.triton.loop import LoopThread


class TritonPythonModel:
    """Answers each request when its pictures are done, from an event loop of its own: `execute` never waits."""

    def initialize(self, args: dict[str, str]) -> None:
        self._settings = backend.ModelContext.from_args(args).engine_settings()
        self._loop = LoopThread("engine")
        self._engine = self._loop.run(VllmEngine.start(self._settings))
        self._paddle = load_paddle_functions()

    def execute(self, requests: list[backend.Request]) -> None:
        for request in requests:
            self._loop.submit(self._serve(request, request.get_response_sender()))

    async def _serve(self, request: backend.Request, sender: backend.Sender) -> None:
        try:
            packed = PackedPictures.decode_tensors(
                backend.reader(request),
                patch_bytes=self._settings.patch_bytes,
                merge_size=self._settings.grid.merge_size,
            )
            async with aclosing(read_pictures(self._engine, packed, request.request_id())) as done:
                readings = [reading async for reading in done]
            # off the loop: a long table takes a while to become HTML, and other requests' tokens pass through here
            collected = await asyncio.to_thread(collect_readings, packed, readings, self._paddle)
            answer = backend.response(encode_readings(collected))
        except Exception as error:
            answer = backend.error_response(error)
        backend.send_only(sender, answer)

    def finalize(self) -> None:
        self._loop.drain()
        self._loop.run(self._engine.stop())
        self._loop.stop()
