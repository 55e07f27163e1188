"""The systems of `perf.gpu.variants`, started in the process that sends the requests."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import tritonclient.grpc.aio as triton_grpc

from ocrvl import vllm_plugin as plugin
from ocrvl.engine_settings import SETTINGS_FILE, EngineSettings
from ocrvl.imaging.decode import ImageLimits
from ocrvl.launcher.interfaces import Interface
from ocrvl.launcher.server import ServerOptions
from ocrvl.messages import PackedImages
from ocrvl.models.engine.request import unique_id
from ocrvl.models.engine.vllm_engine import VllmEngine
from ocrvl.models.preprocess.pipeline import Preprocessor
from ocrvl.options import Options
from ocrvl.repository.make import make_repository
from ocrvl.repository.options import Device, RepositoryOptions
from ocrvl.wire import Model, Task, Tensor
from perf.bare import install_bare_model
from perf.gpu.load import Answer, PrepareSize, RunningSystem, Send
from perf.gpu.openai_server import open_openai_server
from perf.gpu.stages import read_totals
from perf.gpu.variants import System, Variant
from perf.harness.loops import infer_stream
from perf.harness.server import server_options, start_server
from perf.harness.tensors import bytes_tensor, encode_inputs


async def open_system(variant: Variant, settings: Path, stack: AsyncExitStack) -> RunningSystem:
    """Start what the variant needs, until the stack is closed; returns when it can answer."""
    system = variant.system
    if system.is_engine:
        _, prepare = await open_engine(variant, settings, stack)
        return RunningSystem(prepare)
    _set_environment(variant)
    if system.is_triton:
        return await _open_triton(variant, settings, stack)
    return RunningSystem(await open_openai_server(EngineSettings.from_file(settings).engine_args, stack))


async def open_engine(variant: Variant, settings: Path, stack: AsyncExitStack) -> tuple[VllmEngine, PrepareSize]:
    """Start an engine in this process, until the stack is closed, and what sends it patches that are there already."""
    _set_environment(variant)
    engine_settings = EngineSettings.from_file(settings)
    engine = await asyncio.to_thread(VllmEngine.start, engine_settings)
    stack.push_async_callback(asyncio.to_thread, engine.stop)
    return engine, _ready(engine, engine_settings, variant.options)


def _set_environment(variant: Variant) -> None:
    os.environ["VLLM_PLUGINS"] = plugin.NAME if variant.system.is_packed else ""
    os.environ.update(variant.environment)


def _ready(engine: VllmEngine, settings: EngineSettings, options: Mapping[str, Any]) -> PrepareSize:
    def prepare(files: list[bytes], tokens: list[int]) -> Send:
        messages = _preprocess(files, _options(tokens, options), settings)
        packed = [(image, message.options) for message in messages for image in message.images()]

        async def send(number: int, stream: bool) -> Answer:
            began, first = time.perf_counter(), None

            def on_text(_text: str) -> None:
                nonlocal first
                first = first or time.perf_counter() - began

            image, options = packed[number % len(packed)]
            reading = await engine.read(image, options, unique_id(), on_text=on_text if stream else None)
            return Answer(reading.num_output_tokens, reading.num_input_tokens, first)

        return send

    return prepare


def _options(tokens: list[int], others: Mapping[str, Any]) -> list[Options]:
    return [Options(max_tokens=length, **others) for length in tokens]


def _preprocess(files: list[bytes], options: list[Options], settings: EngineSettings) -> list[PackedImages]:
    """Each file as what the engine's model takes."""
    preprocessor = Preprocessor(settings.grid, ImageLimits())
    return [preprocessor.preprocess([file], [Task.OCR], one) for file, one in zip(files, options, strict=True)]


def prepare_server(
    variant: Variant, settings: Path, environment: Mapping[str, str] = MappingProxyType({})
) -> ServerOptions:
    """Options of a server for these settings, with its repository beside them, as `ocrvl repository` renders it."""
    repository = settings.parent / "repository"
    arguments = json.loads(settings.read_text("utf-8"))
    has_gpu = shutil.which("nvidia-smi") is not None
    options = RepositoryOptions(
        checkpoint=arguments["model"],
        device=Device.GPU if has_gpu else Device.CPU,
        gpus=tuple(range(variant.gpus)) if has_gpu else None,
        engines=variant.engines if has_gpu else variant.gpus * variant.engines,
        parallel=variant.parallel,
        interfaces=(Interface.UNARY, Interface.STREAM),
        max_num_seqs=arguments["max_num_seqs"],
    )
    make_repository(repository, options)
    rendered = repository / Model.ENGINE / "1" / SETTINGS_FILE
    rendered.write_text(json.dumps(json.loads(rendered.read_text("utf-8")) | arguments), "utf-8")
    if variant.system is System.BARE:
        install_bare_model(repository)
    models = () if variant.system is System.SERVED else (Model.ENGINE.value,)
    return server_options(repository, models=models, environment=environment)


async def _open_triton(variant: Variant, settings: Path, stack: AsyncExitStack) -> RunningSystem:
    starting = start_server(prepare_server(variant, settings), on_line=print)
    server = await asyncio.to_thread(stack.enter_context, starting)
    client = await stack.enter_async_context(triton_grpc.InferenceServerClient(server.grpc_url))
    metrics = f"{server.options.host}:{server.metrics_port}"
    is_whole, engine_settings = variant.system is System.SERVED, EngineSettings.from_file(settings)
    others = variant.options

    def encode_files(files: list[bytes], tokens: list[int]) -> list[list[Any]]:
        options = (one.model_dump_json(exclude_defaults=True).encode() for one in _options(tokens, others))
        return [
            encode_inputs({Tensor.IMAGE: bytes_tensor(file), Tensor.OPTIONS: bytes_tensor(one)})
            for file, one in zip(files, options, strict=True)
        ]

    def encode_patches(files: list[bytes], tokens: list[int]) -> list[list[Any]]:
        messages = _preprocess(files, _options(tokens, others), engine_settings)
        return [encode_inputs(packed.encode_tensors()) for packed in messages]

    def prepare(files: list[bytes], tokens: list[int]) -> Send:
        inputs = (encode_files if is_whole else encode_patches)(files, tokens)

        async def send(number: int, stream: bool) -> Answer:
            tensors = inputs[number % len(inputs)]
            if stream:
                return await _send_stream(client, tensors)
            return _count(await client.infer(Model.OCR if is_whole else Model.ENGINE, tensors))

        return send

    return RunningSystem(prepare, partial(read_totals, metrics))


async def _send_stream(client: Any, tensors: list[Any]) -> Answer:
    began, first = time.perf_counter(), None
    counted = Answer(0, 0)
    async for answer in infer_stream(client, Model.STREAM, tensors):
        first = first or time.perf_counter() - began
        if answer.as_numpy(Tensor.NUM_OUTPUT_TOKENS.value) is not None:
            counted = _count(answer)
    return Answer(counted.tokens, counted.prompt_tokens, first)


def _count(answer: Any) -> Answer:
    outputs, inputs = Tensor.NUM_OUTPUT_TOKENS, Tensor.NUM_INPUT_TOKENS
    return Answer(*(int(answer.as_numpy(name.value).sum()) for name in (outputs, inputs)))
