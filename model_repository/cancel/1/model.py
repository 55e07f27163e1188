"""Ends running requests by the token that their callers chose."""

import locale

# The stub's interpreter has an ASCII locale whatever its environment says, and libraries read files in it.
locale.setlocale(locale.LC_ALL, "C.UTF-8")

import numpy as np

from ocrvl.models.cancel.model import CancelModel
from ocrvl.triton import backend
from ocrvl.triton.context import ModelContext
from ocrvl.wire import Tensor


class TritonPythonModel:
    """Answers with the number of requests that were ended."""

    def initialize(self, args: dict[str, str]) -> None:
        self._model = CancelModel(ModelContext.from_args(args), backend.metric_family, backend.Logger())

    def execute(self, requests: list[backend.Request]) -> list[backend.Response]:
        return [self._respond(request) for request in requests]

    def finalize(self) -> None:
        self._model.stop()
        backend.finish()

    def _respond(self, request: backend.Request) -> backend.Response:
        try:
            count = self._model.cancel(backend.Tensors(request)(Tensor.CANCEL_TOKEN).item())
            return backend.response({Tensor.CANCELLED: np.array([count], np.int32)})
        except Exception as error:
            return backend.error_response(error)
