"""An image of a receipt in, its fields as JSON out."""

import locale

# The stub's interpreter has an ASCII locale whatever its environment says, and libraries read files in it.
locale.setlocale(locale.LC_ALL, "C.UTF-8")

from ocrvl.models.receipt.model import ReceiptModel
from ocrvl.triton import backend
from ocrvl.triton.context import ModelContext


class TritonPythonModel:
    """One response a request, when its receipt is done; `execute` waits while too many are running."""

    def initialize(self, args: dict[str, str]) -> None:
        context = ModelContext.from_args(args)
        self._model = ReceiptModel(context, backend.call_model, backend.metric_family, backend.Logger())

    def execute(self, requests: list[backend.Request]) -> None:
        for request in requests:
            self._model.take(backend.Call(request))

    def finalize(self) -> None:
        self._model.stop()
        backend.finish()
