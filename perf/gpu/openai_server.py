"""VLLM's own server as a process, and requests to it over HTTP.

`api_server_count` among the engine arguments makes it as many processes of its front end, which only vLLM's `serve`
command can start.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterable, AsyncIterator, Mapping
from contextlib import AsyncExitStack, suppress
from functools import partial
from typing import Any, Final

import aiohttp

from ocrvl.launcher.ports import find_free_port
from perf.gpu.load import Answer, PrepareSize, Send

_MODEL: Final = "PaddleOCR-VL"
_STOP_SECONDS: Final = 30.0
_ENVIRONMENT: Final = {
    "HF_HUB_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    # GiB, on a CPU alone
    "VLLM_CPU_KVCACHE_SPACE": "1",
}


def to_arguments(engine_args: Mapping[str, Any]) -> list[str]:
    """Engine arguments as the server's command line has them.

    >>> to_arguments({"max_num_seqs": 8, "enforce_eager": True, "limit_mm_per_prompt": {"image": 1}})
    ['--max-num-seqs=8', '--enforce-eager', '--limit-mm-per-prompt={"image": 1}']
    >>> to_arguments({"enable_prefix_caching": False, "disable_log_stats": False})
    ['--no-enable-prefix-caching']
    """
    arguments = []
    for key, value in engine_args.items():
        option = key.replace("_", "-")
        if value is False and key.startswith("disable"):
            continue
        if isinstance(value, bool):
            arguments.append(f"--{option}" if value else f"--no-{option}")
        else:
            arguments.append(f"--{option}={json.dumps(value) if isinstance(value, dict) else value}")
    return arguments


def build_command(engine_args: Mapping[str, Any]) -> list[str]:
    """The server's module and its arguments, without host and port.

    >>> build_command({"model": "/m", "api_server_count": 2})[:4]
    ['vllm.entrypoints.cli.main', 'serve', '/m', '--api-server-count=2']
    >>> build_command({"model": "/m"})[:2]
    ['vllm.entrypoints.openai.api_server', '--model=/m']
    """
    arguments = {**engine_args, "served_model_name": _MODEL}
    command = ["vllm.entrypoints.openai.api_server"]
    if "api_server_count" in arguments:
        command = ["vllm.entrypoints.cli.main", "serve", arguments.pop("model")]
    # a line of its log for each request would cost it time
    return [*command, *to_arguments(arguments), "--disable-uvicorn-access-log"]


async def open_openai_server(engine_args: Mapping[str, Any], stack: AsyncExitStack) -> PrepareSize:
    """Start the server with these engine arguments and wait until it answers. Raises `RuntimeError` where it ends."""
    port = find_free_port()
    command = [sys.executable, "-m", *build_command(engine_args), "--host=127.0.0.1", f"--port={port}"]
    # open_system has set VLLM_PLUGINS
    server = subprocess.Popen(command, env={**_ENVIRONMENT, **os.environ})  # noqa: S603, ASYNC220
    stack.push_async_callback(asyncio.to_thread, _stop, server)
    session = await stack.enter_async_context(
        aiohttp.ClientSession(
            f"http://127.0.0.1:{port}", connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(None)
        )
    )
    while not await _is_ready(session):
        if server.poll() is not None:
            raise RuntimeError(f"vLLM's server ended with status {server.returncode}")
        await asyncio.sleep(0.2)

    return partial(_prepare, session)


def _prepare(session: aiohttp.ClientSession, files: list[bytes], tokens: list[int]) -> Send:
    bodies = {
        stream: [encode_request(file, length, stream=stream) for file, length in zip(files, tokens, strict=True)]
        for stream in (False, True)
    }

    async def send(number: int, stream: bool) -> Answer:
        headers = {"Content-Type": "application/json"}
        body = bodies[stream][number % len(files)]
        began, first, usage = time.perf_counter(), None, None
        async with session.post("/v1/chat/completions", data=body, headers=headers) as response:
            if response.status != 200:
                raise RuntimeError(f"vLLM's server: {response.status}: {await response.text()}")
            if not stream:
                usage = (await response.json())["usage"]
            else:
                async for event in _read_events(response.content):
                    usage = event.get("usage") or usage
                    if first is None and event["choices"] and event["choices"][0]["delta"].get("content"):
                        first = time.perf_counter() - began
        if usage is None:
            raise RuntimeError("vLLM's server: a stream without usage")
        return Answer(usage["completion_tokens"], usage["prompt_tokens"], first)

    return send


async def _read_events(lines: AsyncIterable[bytes]) -> AsyncIterator[dict[str, Any]]:
    async for line in lines:
        # the last is not JSON: [DONE]
        if line.startswith(b"data: {"):
            yield json.loads(line.removeprefix(b"data: "))


def encode_request(file: bytes, tokens: int, *, stream: bool) -> bytes:
    """The body of a chat completion that asks for so many tokens of a JPEG file's text."""
    url = f"data:image/jpeg;base64,{base64.b64encode(file).decode()}"
    content = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": "OCR:"}]
    body: dict[str, Any] = {
        "model": _MODEL,
        "messages": [{"role": "user", "content": content}],
        "max_tokens": tokens,
        "temperature": 0,
        "stream": stream,
    }
    if stream:
        body["stream_options"] = {"include_usage": True}
    return json.dumps(body).encode()


async def _is_ready(session: aiohttp.ClientSession) -> bool:
    with suppress(aiohttp.ClientError, OSError):
        async with session.get("/health") as response:
            return response.status == 200
    return False


def _stop(server: subprocess.Popen[bytes]) -> None:
    server.terminate()
    try:
        server.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
