"""Systems that serve the same model: each a context manager that starts it and stops it."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeAlias

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

Images: TypeAlias = Mapping[Size, Sequence[bytes]]

SERVED_NAME: Final = "ocr"
"""Of the model, where a server has one."""

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
    arguments = {**benchmark.engine_args(checkpoint), "served_model_name": SERVED_NAME, "uvicorn_log_level": "warning"}
    command = ["-m", "vllm.entrypoints.openai.api_server", *_flags(arguments)]
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
    """The images as chat completions of OpenAI's."""
    return {
        size: [
            json.dumps(
                {
                    "model": SERVED_NAME,
                    "temperature": 0,
                    "max_tokens": benchmark.max_tokens[size],
                    "messages": [{"role": "user", "content": [_data_url(file), {"type": "text", "text": _PROMPT}]}],
                }
            ).encode()
            for file in files
        ]
        for size, files in images.items()
    }


def _data_url(file: bytes) -> dict[str, Any]:
    kind = "jpeg" if file.startswith(b"\xff\xd8") else "png"
    url = f"data:image/{kind};base64,{base64.b64encode(file).decode()}"
    return {"type": "image_url", "image_url": {"url": url}}


def _flags(arguments: Mapping[str, Any]) -> list[str]:
    """Engine arguments as the command line has them.

    >>> _flags({"max_num_seqs": 8, "enforce_eager": True, "enable_prefix_caching": False, "x": {"image": 1}})
    ['--max-num-seqs=8', '--enforce-eager', '--no-enable-prefix-caching', '--x={"image": 1}']
    """
    flags = []
    for key, value in arguments.items():
        name = key.replace("_", "-")
        if isinstance(value, bool):
            flags.append(f"--{name}" if value else f"--no-{name}")
        else:
            flags.append(f"--{name}={json.dumps(value) if isinstance(value, dict) else value}")
    return flags


OPEN: Final[Mapping[SystemName, Callable[[Benchmark, Path, Images, Path], AbstractContextManager[System]]]] = {
    SystemName.OURS: open_ours,
    SystemName.VLLM: open_vllm,
    SystemName.ENGINE: open_engine,
    SystemName.OWN_CLASS: partial(open_ours, stock=True),
    SystemName.ONE_AT_A_TIME: open_one_at_a_time,
    SystemName.BASE64: open_base64,
}
