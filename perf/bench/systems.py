"""Ways to serve the same model, each a context manager that starts it and knows its processes."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import aiohttp
import psutil
import tritonclient.grpc.aio as triton_grpc

from ocrvl.launcher.interfaces import Interface
from ocrvl.launcher.ports import find_free_port
from ocrvl.launcher.server import TritonServer
from ocrvl.prompts import TASK_PROMPTS
from ocrvl.wire import Model, Task, Tensor
from perf.bench.alone import EngineAlone
from perf.bench.workload import Size, Table
from perf.harness.loops import closed_loop, infer_stream
from perf.harness.repository import copy_repository
from perf.harness.serve_process import classify
from perf.harness.server import server_options, start_server
from perf.harness.tensors import bytes_tensor, encode_inputs, image_tensors

SERVED_NAME: Final = "ocr"
"""Of the model, where a server has one."""

_START_SECONDS: Final = 300.0
_PROMPT: Final = TASK_PROMPTS[Task.OCR]
_BASE64_VLLM: Final = Path(__file__).parents[1] / "baselines/base64_vllm"
OTHERS_CORE, ENGINE_CORE = sorted(os.sched_getaffinity(0))[:2]
"""All engines compute on one core; everything else runs on the other."""
ENVIRONMENT: Final = {
    "OMP_NUM_THREADS": "1",
    # else vLLM has a thread for each core, and on one core they would wait for each other
    "VLLM_CPU_OMP_THREADS_BIND": str(ENGINE_CORE),
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "HF_HUB_OFFLINE": "1",
}

Images = Mapping[Size, Sequence[bytes]]


class Way(Protocol):
    """A way that is running. `name` is the letter or word by which the report calls it."""

    name: str
    title: str

    def processes(self) -> list[tuple[str, psutil.Process]]:
        """Its processes and what they are; `EngineCore` is the one that computes."""

    async def read(self, size: Size, count: int, together: int, first: int) -> list[tuple[float, int]]:
        """Read images from the `first` on, `together` at a time: seconds and output tokens of each."""


class Served:
    """What all servers have in common: requests of images, one at a time or many."""

    def __init__(self, name: str, title: str, root: psutil.Process) -> None:
        self.name, self.title = name, title
        self.root = root

    def processes(self) -> list[tuple[str, psutil.Process]]:
        """See `Way`."""
        found = []
        for process in [self.root, *self.root.children(recursive=True)]:
            with contextlib.suppress(psutil.Error):
                found.append((classify(process.name(), process.cmdline())[1], process))
        return found

    async def read(self, size: Size, count: int, together: int, first: int) -> list[tuple[float, int]]:
        """See `Way`."""
        async with self._connect() as client:
            read = await closed_loop(lambda number: self._infer(client, size, first + number), together, requests=count)
        return [(one.seconds, one.result) for one in read]

    def _connect(self) -> Any:
        raise NotImplementedError

    async def _infer(self, client: Any, size: Size, number: int) -> int:
        raise NotImplementedError


class TritonWay(Served):
    """A Triton server; `url` is its gRPC endpoint."""

    def __init__(self, name: str, title: str, server: TritonServer, inputs: Mapping[Size, Sequence[list[Any]]]) -> None:
        super().__init__(name, title, psutil.Process(server.pid))
        self.url = server.grpc_url
        self._inputs = inputs

    def _connect(self) -> Any:
        return triton_grpc.InferenceServerClient(self.url)

    async def _infer(self, client: Any, size: Size, number: int) -> int:
        inputs = self._inputs[size]
        answer = await client.infer(Model.OCR.value, inputs[number % len(inputs)])
        return int(answer.as_numpy(Tensor.NUM_OUTPUT_TOKENS.value).sum())


class _Decoupled(TritonWay):
    async def _infer(self, client: Any, size: Size, number: int) -> int:
        inputs = self._inputs[size]

        async for answer in infer_stream(client, Model.ENGINE, inputs[number % len(inputs)]):
            tokens = int(answer.as_numpy("num_output_tokens")[0])
        return tokens


class HttpWay(Served):
    """A server that takes an image in JSON, ready-made bodies of which are sent."""

    def __init__(
        self, name: str, title: str, root: psutil.Process, url: str, bodies: Mapping[Size, Sequence[bytes]]
    ) -> None:
        super().__init__(name, title, root)
        self._url = url
        self._bodies = bodies

    def _connect(self) -> Any:
        return aiohttp.ClientSession(headers={"Content-Type": "application/json"})

    async def _infer(self, client: Any, size: Size, number: int) -> int:
        bodies = self._bodies[size]
        async with client.post(self._url, data=bodies[number % len(bodies)]) as response:
            answer = await response.json()
            if response.status != 200:
                raise RuntimeError(f"{self.name}: {response.status}: {answer}")
        usage = answer.get("usage")
        return int(usage["completion_tokens"] if usage else answer["num_output_tokens"])


@contextlib.contextmanager
def open_ours(
    table: Table, checkpoint: Path, images: Images, folder: Path, *, stock: bool = False
) -> Iterator[TritonWay]:
    """Our server, with the plugin or with vLLM's own class."""
    repository = copy_repository(
        folder / "repository",
        # the first images warm it, as they do the others
        parameters={"warm_up": "false", **({"packed_encoder": "false"} if stock else {})},
        engine_args=table.engine_args(checkpoint),
        interfaces=(Interface.UNARY,),
    )
    inputs = {
        size: [
            encode_inputs(image_tensors(file, max_tokens=table.max_tokens[size], stop_repetition=False))
            for file in files
        ]
        for size, files in images.items()
    }
    with start_server(server_options(repository, environment=ENVIRONMENT)) as server:
        name, title = ("c", "ours, vLLM's own class") if stock else ("ours", "ours")
        yield TritonWay(name, title, server, inputs)


@contextlib.contextmanager
def open_base64(table: Table, checkpoint: Path, images: Images, folder: Path) -> Iterator[Way]:
    """A decoupled model that takes base64, as Triton's vLLM backend has it."""
    model = folder / "repository" / Model.ENGINE
    shutil.copytree(_BASE64_VLLM, model)
    (model / "1/model.json").write_text(json.dumps(table.engine_args(checkpoint)), "utf-8")
    prompt = "<|begin_of_sentence|>User: <|IMAGE_START|><|IMAGE_PLACEHOLDER|><|IMAGE_END|>" + _PROMPT + "\nAssistant:\n"
    inputs = {
        size: [
            encode_inputs(
                {
                    "text_input": bytes_tensor(prompt.encode()),
                    "image": bytes_tensor(base64.b64encode(file)),
                    "sampling_parameters": bytes_tensor(
                        json.dumps({"temperature": 0, "max_tokens": table.max_tokens[size]}).encode()
                    ),
                }
            )
            for file in files
        ]
        for size, files in images.items()
    }
    with start_server(server_options(model.parent, environment=ENVIRONMENT)) as server:
        yield _Decoupled("e", "Triton, base64 to a decoupled vLLM model", server, inputs)


@contextlib.contextmanager
def open_openai(table: Table, checkpoint: Path, images: Images, folder: Path) -> Iterator[Way]:
    """VLLM's own server."""
    arguments = {**table.engine_args(checkpoint), "served_model_name": SERVED_NAME, "uvicorn_log_level": "warning"}
    command = ["-m", "vllm.entrypoints.openai.api_server", *_flags(arguments)]
    with run_http(command, folder, {"VLLM_PLUGINS": ""}) as (root, url):
        yield HttpWay("a", "vLLM's OpenAI server", root, f"{url}/v1/chat/completions", chat_bodies(table, images))


@contextlib.contextmanager
def open_one_at_a_time(table: Table, checkpoint: Path, images: Images, folder: Path) -> Iterator[Way]:
    """The traditional way: transformers behind FastAPI."""
    bodies = {
        size: [
            json.dumps({"image": base64.b64encode(file).decode(), "max_tokens": table.max_tokens[size]}).encode()
            for file in files
        ]
        for size, files in images.items()
    }
    with run_http(["-m", "perf.baselines.one_at_a_time", str(checkpoint)], folder, {}) as (root, url):
        yield HttpWay("d", "transformers behind FastAPI, one at a time", root, f"{url}/read", bodies)


@contextlib.contextmanager
def open_alone(table: Table, checkpoint: Path, images: Images, folder: Path) -> Iterator[Way]:
    """The engine alone, on patches that are ready."""
    with EngineAlone(table.engine_args(checkpoint), images, table.max_tokens, ENVIRONMENT, folder / "log") as way:
        yield way


def chat_bodies(table: Table, images: Images) -> dict[Size, list[bytes]]:
    """The images as chat completions of OpenAI's."""
    return {
        size: [
            json.dumps(
                {
                    "model": SERVED_NAME,
                    "temperature": 0,
                    "max_tokens": table.max_tokens[size],
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


@contextlib.contextmanager
def run_http(
    command: Sequence[str], folder: Path, environment: Mapping[str, str]
) -> Iterator[tuple[psutil.Process, str]]:
    """Run a Python program that serves HTTP, with `--port`, and wait until its `/health` answers."""
    folder.mkdir(parents=True, exist_ok=True)
    port = find_free_port()
    with (folder / "log").open("wb") as log:
        child = subprocess.Popen(  # noqa: S603 - a program of this project, or vLLM
            [sys.executable, *command, f"--port={port}"],
            env={**os.environ, **ENVIRONMENT, **environment},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        give_up = time.monotonic() + _START_SECONDS
        while True:
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/health", timeout=5) as answer:  # noqa: S310 - loopback
                if answer.status == 200:
                    break
            if child.poll() is not None or time.monotonic() > give_up:
                raise RuntimeError(f"it did not start: {' '.join(command)}; {folder / 'log'} says why")
            time.sleep(0.5)
        yield psutil.Process(child.pid), url
    finally:
        child.terminate()
        try:
            child.wait(60)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
