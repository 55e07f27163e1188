"""Encoded pictures to packed patches: decode, resize, cut; refuses what the model can not take."""

import locale

# The stub's interpreter has an ASCII locale whatever its environment says, and libraries read files in it.
locale.setlocale(locale.LC_ALL, "C.UTF-8")

from ocrvl.hop import decode_texts, encode_texts, parse_task
from ocrvl.images.decode import PictureLimits
from ocrvl.images.pipeline import Preprocessor
from ocrvl.options import parse_options
from ocrvl.triton import backend
from ocrvl.wire import Task, Tensor


class TritonPythonModel:
    """Runs in as many processes as `instance_group` says; each handles one request at a time."""

    def initialize(self, args: dict[str, str]) -> None:
        context = backend.ModelContext.from_args(args)
        limits = PictureLimits(
            max_bytes=int(context.parameters["max_picture_bytes"]),
            max_pixels=int(context.parameters["max_picture_pixels"]),
            max_patch_bytes=int(context.parameters["max_patch_bytes"]),
        )
        self._preprocessor = Preprocessor(context.engine_settings().grid, limits)

    def execute(self, requests: list[backend.Request]) -> list[backend.Response]:
        return [self._respond(request) for request in requests]

    def _respond(self, request: backend.Request) -> backend.Response:
        try:
            read = backend.reader(request)
            tasks = [Task.OCR]
            if backend.has_input(request, Tensor.TASK):
                tasks = [parse_task(text) for text in decode_texts(read(Tensor.TASK), Tensor.TASK)]
            options = None
            if backend.has_input(request, Tensor.OPTIONS):
                options = read(Tensor.OPTIONS).item()
            images = read(Tensor.IMAGE).tolist()
            done = self._preprocessor.preprocess(images, tasks, parse_options(options))
            return backend.response(done.packed.encode_tensors() | {Tensor.WARNING: encode_texts(done.warnings)})
        except Exception as error:
            return backend.error_response(error)
