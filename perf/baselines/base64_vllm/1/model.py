"""What a preprocessing model saves: vLLM in one decoupled model, which is sent a prompt and an image in base64.

This is how Triton's own vLLM backend serves a multimodal model: the image is decoded on the engine's event loop, and
vLLM's front end does the rest of its preparation.
"""

import locale

# The stub's interpreter has an ASCII locale whatever its environment says, and vLLM does not import in it.
locale.setlocale(locale.LC_ALL, "C.UTF-8")

import asyncio
import base64
import io
import json
import os
import threading
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils
from PIL import Image


class TritonPythonModel:
    """Answers each request once, when its text is whole."""

    def initialize(self, args: dict[str, str]) -> None:
        os.environ["VLLM_PLUGINS"] = ""
        folder = Path(args["model_repository"]) / args["model_version"]
        settings = json.loads((folder / "model.json").read_text("utf-8"))
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._llm = asyncio.run_coroutine_threadsafe(self._start(settings), self._loop).result()

    def execute(self, requests: list[Any]) -> None:
        for request in requests:
            asyncio.run_coroutine_threadsafe(self._answer(request), self._loop)

    def finalize(self) -> None:
        self._llm.shutdown()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    async def _start(self, settings: dict[str, Any]) -> Any:
        from vllm.engine.arg_utils import AsyncEngineArgs
        from vllm.v1.engine.async_llm import AsyncLLM

        return AsyncLLM.from_engine_args(AsyncEngineArgs(**settings))

    async def _answer(self, request: Any) -> None:
        sender = request.get_response_sender()
        try:
            tensors = await self._read(request)
            response = pb_utils.InferenceResponse(output_tensors=tensors)
        except Exception as error:
            response = pb_utils.InferenceResponse(error=pb_utils.TritonError(str(error)))
        sender.send(response, flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)

    async def _read(self, request: Any) -> list[Any]:
        from vllm import SamplingParams

        def element(name: str) -> bytes:
            value: bytes = pb_utils.get_input_tensor_by_name(request, name).as_numpy().ravel()[0]
            return value

        image = Image.open(io.BytesIO(base64.b64decode(element("image")))).convert("RGB")
        prompt = {"prompt": element("text_input").decode(), "multi_modal_data": {"image": [image]}}
        params = SamplingParams(**json.loads(element("sampling_parameters")))
        async for output in self._llm.generate(prompt, params, uuid.uuid4().hex):
            completion = output.outputs[0]
        text = np.array([completion.text.encode()], dtype=object)
        count = np.array([len(completion.token_ids)], np.int32)
        return [pb_utils.Tensor("text_output", text), pb_utils.Tensor("num_output_tokens", count)]
