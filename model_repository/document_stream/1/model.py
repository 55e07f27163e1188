"""A whole file in, Markdown and JSON out, page by page."""

import locale

# The stub's interpreter has an ASCII locale whatever its environment says, and libraries read files in it.
locale.setlocale(locale.LC_ALL, "C.UTF-8")

from ocrvl.models.document.model import DocumentModel
from ocrvl.triton import backend
from ocrvl.triton.context import ModelContext


class TritonPythonModel:
    """Decoupled: a response a page, in order, then one for the whole; `execute` waits while too many are running."""

    def initialize(self, args: dict[str, str]) -> None:
        context = ModelContext.from_args(args)
        self._model = DocumentModel(
            context, backend.call_model, backend.unexpected, backend.metric_family, backend.Logger(), streams=True
        )

    def execute(self, requests: list[backend.Request]) -> None:
        for request in requests:
            self._model.take(backend.Call(request))

    def finalize(self) -> None:
        self._model.stop()
        backend.finish()
