"""From a chat completion to a request of ours: image, task and options."""

from __future__ import annotations

from typing import Any, Final

from ocrvl.prompts import find_task
from ocrvl.wire import DEFAULT_TOKENS, Task
from ocrvl_gateway.encoding import decode_base64
from ocrvl_gateway.fetch import Fetcher
from ocrvl_gateway.openai.schemas import ChatRequest

_MAX_SCHEME_LENGTH: Final = 16


def task_of(text: str) -> tuple[Task, str | None]:
    """The task that a prompt stands for, and the prompt itself where it is none of the model's own.

    >>> task_of("Table Recognition:"), task_of("What is the total?"), task_of("")
    ((<Task.TABLE: 'table'>, None), (<Task.OCR: 'ocr'>, 'What is the total?'), (<Task.OCR: 'ocr'>, None))
    """
    task = find_task(text)
    return (task, None) if task else (Task.OCR, text or None)


def max_tokens_of(requested: int | None, limit: int | None) -> int | None:
    """The option `max_tokens`; None leaves it to the server, which then gives what the model's length leaves of 4096.

    >>> [max_tokens_of(8192, None), max_tokens_of(100, None), max_tokens_of(8192, 6000), max_tokens_of(None, 6000)]
    [None, 100, 6000, 6000]
    """
    if limit is None:
        return None if requested is None or requested >= DEFAULT_TOKENS else requested
    return min(requested or limit, limit)


def options_of(request: ChatRequest, prompt: str | None, max_tokens_limit: int | None) -> dict[str, Any]:
    """The server's options; what is not set stays at its default there."""
    limits = request.mm_processor_kwargs
    options = {
        "prompt": prompt,
        "max_tokens": max_tokens_of(request.output_tokens, max_tokens_limit),
        "temperature": request.temperature,
        "top_p": request.top_p,
        "repetition_penalty": request.repetition_penalty,
        "seed": request.seed,
        "stop": [request.stop] if isinstance(request.stop, str) else request.stop,
        "min_pixels": limits.min_pixels if limits else None,
        "max_pixels": limits.max_pixels if limits else None,
        "json_schema": request.json_schema,
        "raw": True,
    }
    return {name: value for name, value in options.items() if value is not None}


async def image_of(request: ChatRequest, fetcher: Fetcher) -> bytes:
    """The encoded image. Raises `Refusal`."""
    url, param = request.user_message.image.url, request.image_param
    # what is neither a data URL nor has a scheme may be bare base64 text
    if "://" in url[:_MAX_SCHEME_LENGTH]:
        return await fetcher.fetch(url, param)
    return decode_base64(url, param)
