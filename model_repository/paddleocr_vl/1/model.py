"""Packed patches to text: wraps one vLLM engine, which batches all requests continuously."""

import locale

# The stub's interpreter has an ASCII locale whatever its environment says, and vLLM does not import in it.
locale.setlocale(locale.LC_ALL, "C.UTF-8")

from contextlib import aclosing

from ocrvl.engine.serve import read_pictures
from ocrvl.engine.vllm_engine import VllmEngine
from ocrvl.hop import PackedPictures
from ocrvl.triton import backend
from ocrvl.triton.loop import LoopThread


class TritonPythonModel:
    """Decoupled: one response a picture, in the order in which they are done."""

    def initialize(self, args: dict[str, str]) -> None:
        self._settings = backend.ModelContext.from_args(args).engine_settings()
        self._loop = LoopThread("engine")
        self._engine = self._loop.run(VllmEngine.start(self._settings))

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
            async with aclosing(read_pictures(self._engine, packed, request.request_id())) as readings:
                async for reading in readings:
                    backend.send(sender, backend.response(reading.encode_tensors()))
            backend.send_last(sender)
        except Exception as error:
            backend.send_last(sender, backend.error_response(error))

    def finalize(self) -> None:
        self._loop.drain()
        self._loop.run(self._engine.stop())
        self._loop.stop()
