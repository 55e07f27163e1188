"""VLLM's OpenAI server: its command line, and the bodies of requests to it."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any, Final

from ocrvl.prompts import TASK_PROMPTS
from ocrvl.wire import Task

SERVED_NAME: Final = "PaddleOCR-VL"
"""Of the model."""


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

    `api_server_count` among the engine arguments makes it as many processes of its front end, which only vLLM's `serve`
    command can start.

    >>> build_command({"model": "/m", "api_server_count": 2})[:4]
    ['vllm.entrypoints.cli.main', 'serve', '/m', '--api-server-count=2']
    >>> build_command({"model": "/m"})[:2]
    ['vllm.entrypoints.openai.api_server', '--model=/m']
    """
    arguments = {**engine_args, "served_model_name": SERVED_NAME}
    command = ["vllm.entrypoints.openai.api_server"]
    if "api_server_count" in arguments:
        command = ["vllm.entrypoints.cli.main", "serve", arguments.pop("model")]
    # a line of its log for each request would cost it time
    return [*command, *to_arguments(arguments), "--disable-uvicorn-access-log"]


def encode_chat(file: bytes, max_tokens: int, *, stream: bool = False) -> bytes:
    """The body of a chat completion that has a JPEG or PNG file read, in so many tokens at most."""
    kind = "jpeg" if file.startswith(b"\xff\xd8") else "png"
    url = f"data:image/{kind};base64,{base64.b64encode(file).decode()}"
    content = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": TASK_PROMPTS[Task.OCR]}]
    body: dict[str, Any] = {
        "model": SERVED_NAME,
        "messages": [{"role": "user", "content": content}],
        "max_tokens": max_tokens,
        "temperature": 0,
        "stream": stream,
    }
    if stream:
        body["stream_options"] = {"include_usage": True}
    return json.dumps(body).encode()
