"""Packed patches to text: wraps one vLLM engine, which batches all requests continuously."""

import locale

# The stub's interpreter has an ASCII locale whatever its environment says, and vLLM does not import in it.
locale.setlocale(locale.LC_ALL, "C.UTF-8")

from ocrvl.models.engine.model import EngineModel
from ocrvl.triton import backend
from ocrvl.triton.context import ModelContext


class TritonPythonModel:
    """Answers each request when its images are done, from an event loop; `execute` waits while the engine is full."""

    def initialize(self, args: dict[str, str]) -> None:
        self._model = EngineModel(ModelContext.from_args(args), backend.metric_family, backend.Logger())
        self._model.start()

    def execute(self, requests: list[backend.Request]) -> None:
        for request in requests:
            self._model.take(backend.Call(request))

    def is_ready(self) -> bool:
        return self._model.is_ready

    def finalize(self) -> None:
        self._model.stop()
        backend.finish()
