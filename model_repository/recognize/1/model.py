"""The unary face of the engine: collects its responses, post-processes each text, answers once."""

import locale

# The stub's interpreter has an ASCII locale whatever its environment says, and libraries read files in it.
locale.setlocale(locale.LC_ALL, "C.UTF-8")

from concurrent.futures import ThreadPoolExecutor

from ocrvl.hop import PackedPictures, Reading, encode_readings
from ocrvl.postprocess import load_paddle_functions
from ocrvl.recognize import ENGINE_OUTPUTS, collect_readings
from ocrvl.triton import backend
from ocrvl.wire import Model


class TritonPythonModel:
    """A thread waits for each request in flight; none of them computes much."""

    def initialize(self, args: dict[str, str]) -> None:
        context = backend.ModelContext.from_args(args)
        self._settings = context.engine_settings()
        self._paddle = load_paddle_functions()
        self._threads = ThreadPoolExecutor(int(context.parameters["max_in_flight"]), "recognize")

    def execute(self, requests: list[backend.Request]) -> None:
        for request in requests:
            self._threads.submit(self._serve, request, request.get_response_sender())

    def _serve(self, request: backend.Request, sender: backend.Sender) -> None:
        try:
            packed = PackedPictures.decode_tensors(
                backend.reader(request),
                patch_bytes=self._settings.patch_bytes,
                merge_size=self._settings.grid.merge_size,
            )
            answers = backend.call_decoupled(Model.ENGINE, request, ENGINE_OUTPUTS)
            readings = (Reading.decode_tensors(backend.reader(answer)) for answer in answers)
            answer = backend.response(encode_readings(collect_readings(packed, readings, self._paddle)))
        except Exception as error:
            answer = backend.error_response(error)
        backend.send_last(sender, answer)

    def finalize(self) -> None:
        self._threads.shutdown(wait=True)
