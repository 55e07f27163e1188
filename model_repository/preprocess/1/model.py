"""Encoded images to packed patches: decode, resize, cut; refuses what the model cannot take."""

import locale

# The stub's interpreter has an ASCII locale whatever its environment says, and libraries read files in it.
locale.setlocale(locale.LC_ALL, "C.UTF-8")

from ocrvl.models.preprocess.model import PreprocessModel
from ocrvl.triton import backend
from ocrvl.triton.context import ModelContext


class TritonPythonModel:
    """Runs in as many processes as `instance_group` says; each handles one request at a time."""

    def initialize(self, args: dict[str, str]) -> None:
        self._model = PreprocessModel(ModelContext.from_args(args), backend.metric_family, backend.Logger())

    def execute(self, requests: list[backend.Request]) -> list[backend.Response]:
        return [self._respond(request) for request in requests]

    def finalize(self) -> None:
        self._model.stop()
        backend.finish()

    def _respond(self, request: backend.Request) -> backend.Response:
        try:
            return backend.response(self._model.preprocess(backend.InferenceRequest(request)))
        except Exception as error:
            return backend.error_response(error)
