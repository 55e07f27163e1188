"""The words of receipts in, their fields out."""

import locale

# The stub's interpreter has an ASCII locale whatever its environment says, and libraries read files in it.
locale.setlocale(locale.LC_ALL, "C.UTF-8")

from ocrvl.models.fields.model import FieldsModel
from ocrvl.triton import backend
from ocrvl.triton.context import ModelContext


class TritonPythonModel:
    """`execute` gets the receipts that Triton's batcher brought together; each fails alone."""

    def initialize(self, args: dict[str, str]) -> None:
        self._model = FieldsModel(ModelContext.from_args(args), backend.metric_family, backend.Logger())

    def execute(self, requests: list[backend.Request]) -> list[backend.Response]:
        answers = self._model.find_fields([backend.Tensors(request) for request in requests])
        return [
            backend.error_response(answer) if isinstance(answer, Exception) else backend.response(answer)
            for answer in answers
        ]

    def finalize(self) -> None:
        self._model.stop()
        backend.finish()
