"""The ways of `perf.gpu.contenders`, opened in the process that is to ask."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ocrvl import plugin
from ocrvl.engine.serve import Job
from ocrvl.engine.settings import EngineSettings
from ocrvl.engine.vllm_engine import VllmEngine
from ocrvl.images.decode import PictureLimits
from ocrvl.images.pipeline import Preprocessor
from ocrvl.options import Options
from ocrvl.serving.faces import Face, models_of
from ocrvl.serving.locate import find_model_repository
from ocrvl.serving.server import ServerOptions, TritonServer
from ocrvl.wire import Model, Task, Tensor
from perf.gpu.contenders import Way
from perf.gpu.load import Answer, Ask, OpenSize
from perf.gpu.openai_server import open_openai_server


async def open_way(way: Way, settings: Path, stack: AsyncExitStack) -> OpenSize:
    """Start what the way needs, until the stack is closed; returns when it can answer."""
    os.environ["VLLM_PLUGINS"] = plugin.NAME if way.is_packed else ""
    engine_settings = EngineSettings.from_file(settings)
    if way is Way.SERVED:
        return await _open_triton(settings, stack)
    if way in (Way.OPENAI, Way.OPENAI_PACKED):
        return await open_openai_server(engine_settings.engine_args, stack)
    engine = await asyncio.to_thread(VllmEngine.start, engine_settings)
    stack.push_async_callback(asyncio.to_thread, engine.stop)
    return _ready(engine, engine_settings)


def _ready(engine: VllmEngine, settings: EngineSettings) -> OpenSize:
    def open_size(files: list[bytes], tokens: int) -> Ask:
        options = Options(max_tokens=tokens, stop_repetition=False, raw=True)
        preprocessor = Preprocessor(settings.grid, PictureLimits())
        packed = [
            picture for file in files for picture in preprocessor.preprocess([file], [Task.OCR], options).pictures()
        ]

        async def ask(number: int, stream: bool) -> Answer:
            asked, first = time.perf_counter(), None

            def on_text(_text: str) -> None:
                nonlocal first
                first = first or time.perf_counter() - asked

            picture = packed[number % len(packed)]
            reading = await engine.read(picture, Job.begin(options), on_text if stream else None)
            return Answer(reading.num_output_tokens, reading.num_input_tokens, first)

        return ask

    return open_size


def prepare_server(settings: Path, environment: Mapping[str, str] = MappingProxyType({})) -> ServerOptions:
    """Options of a server for these settings, with its repository beside them."""
    repository = settings.parent / "repository"
    documents = set(Model) - set(models_of([Face.UNARY, Face.STREAM]))
    shutil.copytree(find_model_repository(), repository, ignore=shutil.ignore_patterns(*documents))
    shutil.copy(settings, repository / Model.ENGINE / "1/model.json")
    preprocess = repository / Model.PREPROCESS / "config.pbtxt"
    cores = max(2, (os.cpu_count() or 2) - 4)
    preprocess.write_text(preprocess.read_text().replace("count: 2", f"count: {cores}"))
    return ServerOptions(repository, http_port=0, grpc_port=0, metrics_port=0, environment=dict(environment))


async def _open_triton(settings: Path, stack: AsyncExitStack) -> OpenSize:
    import tritonclient.grpc.aio as triton_grpc

    from perf.requests import encode_inputs, encode_text

    server = stack.enter_context(TritonServer(prepare_server(settings), on_line=print))
    await asyncio.to_thread(server.wait_until_ready)
    client = await stack.enter_async_context(triton_grpc.InferenceServerClient(server.grpc_url))

    def open_size(files: list[bytes], tokens: int) -> Ask:
        asked_for = {"max_tokens": tokens, "stop_repetition": False, "raw": True}
        encoded = encode_text(json.dumps(asked_for).encode())
        inputs = [encode_inputs({Tensor.IMAGE: encode_text(file), Tensor.OPTIONS: encoded}) for file in files]

        async def ask(number: int, stream: bool) -> Answer:
            tensors = inputs[number % len(inputs)]
            if stream:
                return await ask_stream(tensors)
            answer = await client.infer(Model.OCR.value, tensors)
            return count(answer)

        async def ask_stream(tensors: list[Any]) -> Answer:
            async def request() -> Any:
                yield {"model_name": Model.STREAM.value, "inputs": tensors}

            asked, first = time.perf_counter(), None
            counted = Answer(0, 0)
            async for answer, error in client.stream_infer(request()):
                if error:
                    raise error
                first = first or time.perf_counter() - asked
                if answer.as_numpy(Tensor.NUM_OUTPUT_TOKENS.value) is not None:
                    counted = count(answer)
            return Answer(counted.tokens, counted.prompt_tokens, first)

        return ask

    def count(answer: Any) -> Answer:
        outputs, inputs = Tensor.NUM_OUTPUT_TOKENS, Tensor.NUM_INPUT_TOKENS
        return Answer(*(int(answer.as_numpy(name.value).sum()) for name in (outputs, inputs)))

    return open_size
