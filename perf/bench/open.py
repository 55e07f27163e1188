"""Systems that serve the same model: each a context manager that starts it and stops it."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Final, TypeAlias

from ocrvl.launcher.interfaces import Interface
from ocrvl.prompts import TASK_PROMPTS
from ocrvl.wire import Model, Task
from perf.bench.alone import EngineAlone
from perf.bench.cores import ENVIRONMENT
from perf.bench.systems import DecoupledSystem, HttpSystem, System, TritonSystem
from perf.bench.workload import Benchmark, Size, SystemName
from perf.harness.http_server import run_http_server
from perf.harness.repository import copy_repository
from perf.harness.server import server_options, start_server
from perf.harness.tensors import bytes_tensor, encode_inputs, image_tensors
from perf.harness.vllm_server import build_command, encode_chat

Images: TypeAlias = Mapping[Size, Sequence[bytes]]

_PROMPT: Final = TASK_PROMPTS[Task.OCR]
_BASE64_VLLM: Final = Path(__file__).parents[1] / "baselines/base64_vllm"


@contextmanager
def open_ours(
    benchmark: Benchmark, checkpoint: Path, images: Images, folder: Path, *, stock: bool = False
) -> Iterator[TritonSystem]:
    """Our server, with the plugin or with vLLM's own class."""
    repository = copy_repository(
        folder / "repository",
        # the first images warm it, as they do the others
        parameters={"warm_up": "false", **({"packed_encoder": "false"} if stock else {})},
        engine_args=benchmark.engine_args(checkpoint),
        interfaces=(Interface.UNARY,),
    )
    inputs = {
        size: [
            encode_inputs(image_tensors(file, max_tokens=benchmark.max_tokens[size], stop_repetition=False))
            for file in files
        ]
        for size, files in images.items()
    }
    with start_server(server_options(repository, environment=ENVIRONMENT)) as server:
        yield TritonSystem(SystemName.OWN_CLASS if stock else SystemName.OURS, server, inputs)


@contextmanager
def open_base64(benchmark: Benchmark, checkpoint: Path, images: Images, folder: Path) -> Iterator[System]:
    """A decoupled model that takes base64, as Triton's vLLM backend has it."""
    model = folder / "repository" / Model.ENGINE
    shutil.copytree(_BASE64_VLLM, model)
    (model / "1/model.json").write_text(json.dumps(benchmark.engine_args(checkpoint)), "utf-8")
    prompt = "<|begin_of_sentence|>User: <|IMAGE_START|><|IMAGE_PLACEHOLDER|><|IMAGE_END|>" + _PROMPT + "\nAssistant:\n"
    inputs = {
        size: [
            encode_inputs(
                {
                    "text_input": bytes_tensor(prompt.encode()),
                    "image": bytes_tensor(base64.b64encode(file)),
                    "sampling_parameters": bytes_tensor(
                        json.dumps({"temperature": 0, "max_tokens": benchmark.max_tokens[size]}).encode()
                    ),
                }
            )
            for file in files
        ]
        for size, files in images.items()
    }
    with start_server(server_options(model.parent, environment=ENVIRONMENT)) as server:
        yield DecoupledSystem(SystemName.BASE64, server, inputs)


@contextmanager
def open_vllm(benchmark: Benchmark, checkpoint: Path, images: Images, folder: Path) -> Iterator[System]:
    """VLLM's own server."""
    arguments = {**benchmark.engine_args(checkpoint), "uvicorn_log_level": "warning"}
    command = ["-m", *build_command(arguments)]
    with run_http_server(command, folder, {**ENVIRONMENT, "VLLM_PLUGINS": ""}) as (root, url):
        yield HttpSystem(SystemName.VLLM, root, f"{url}/v1/chat/completions", chat_bodies(benchmark, images))


@contextmanager
def open_one_at_a_time(benchmark: Benchmark, checkpoint: Path, images: Images, folder: Path) -> Iterator[System]:
    """Transformers behind FastAPI, one request at a time."""
    bodies = {
        size: [
            json.dumps({"image": base64.b64encode(file).decode(), "max_tokens": benchmark.max_tokens[size]}).encode()
            for file in files
        ]
        for size, files in images.items()
    }
    with run_http_server(["-m", "perf.baselines.one_at_a_time", str(checkpoint)], folder, ENVIRONMENT) as (root, url):
        yield HttpSystem(SystemName.ONE_AT_A_TIME, root, f"{url}/read", bodies)


@contextmanager
def open_engine(benchmark: Benchmark, checkpoint: Path, images: Images, folder: Path) -> Iterator[System]:
    """The engine alone, on patches that are ready."""
    with EngineAlone(
        benchmark.engine_args(checkpoint), images, benchmark.max_tokens, ENVIRONMENT, folder / "log"
    ) as system:
        yield system


def chat_bodies(benchmark: Benchmark, images: Images) -> dict[Size, list[bytes]]:
    """The images as chat completions."""
    return {size: [encode_chat(file, benchmark.max_tokens[size]) for file in files] for size, files in images.items()}


OPEN: Final[Mapping[SystemName, Callable[[Benchmark, Path, Images, Path], AbstractContextManager[System]]]] = {
    SystemName.OURS: open_ours,
    SystemName.VLLM: open_vllm,
    SystemName.ENGINE: open_engine,
    SystemName.OWN_CLASS: partial(open_ours, stock=True),
    SystemName.ONE_AT_A_TIME: open_one_at_a_time,
    SystemName.BASE64: open_base64,
}
