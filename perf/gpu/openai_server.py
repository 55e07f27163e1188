"""VLLM's own server as a process, and requests to it over HTTP."""

from __future__ import annotations

import asyncio
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
from perf.harness.vllm_server import build_command, encode_chat

_STOP_SECONDS: Final = 30.0
_ENVIRONMENT: Final = {
    "HF_HUB_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    # GiB, on a CPU alone
    "VLLM_CPU_KVCACHE_SPACE": "1",
}


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
        stream: [encode_chat(file, length, stream=stream) for file, length in zip(files, tokens, strict=True)]
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
