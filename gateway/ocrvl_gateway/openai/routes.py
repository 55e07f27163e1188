"""`/v1/chat/completions` and `/v1/models`; the same without `/v1`, for clients whose base URL was given without it."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import AsyncGenerator, Mapping
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, StreamingResponse
from fastapi.sse import format_sse_event

from ocrvl.wire import FinishReason
from ocrvl_client import Reading
from ocrvl_gateway.disconnect import first_of, while_connected
from ocrvl_gateway.errors import NoSuchModel, problem_of
from ocrvl_gateway.middleware.json_body import BoundedJsonRoute
from ocrvl_gateway.openai.asking import image_of, options_of, task_of
from ocrvl_gateway.openai.schemas import (
    AnswerMessage,
    ChatRequest,
    ChatResponse,
    Choice,
    Model,
    ModelList,
    Usage,
)
from ocrvl_gateway.parts import Parts, events, get_parts, refusals

router = APIRouter(tags=["OpenAI"], route_class=BoundedJsonRoute)
_STARTED: Final = int(time.time())
_STREAM_HEADERS: Final = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
_NOTHING: Final[Mapping[str, Any]] = {}

_Parts = Annotated[Parts, Depends(get_parts)]


@router.get("/models", include_in_schema=False)
@router.get("/v1/models", operation_id="listModels", responses=refusals(401))
async def list_models(parts: _Parts) -> ModelList:
    """The names that the model is asked by; they are all the same model."""
    return ModelList(data=[_model(name) for name in parts.settings.served_model_names])


@router.get("/models/{model}", include_in_schema=False)
@router.get("/v1/models/{model}", operation_id="getModel", responses=refusals(401, 404))
async def get_model(model: str, parts: _Parts) -> Model:
    """One of them."""
    _check_model(model, parts)
    return _model(model)


@router.post("/chat/completions", include_in_schema=False)
@router.post(
    "/v1/chat/completions",
    operation_id="createChatCompletion",
    response_model=ChatResponse,
    responses={
        **events(),
        **refusals(400, 401, 404, 413, 429, 500, 503, 504),
    },
)
async def create_chat_completion(body: ChatRequest, request: Request, parts: _Parts) -> Any:
    """Read one image. The text is the model's own words; with `stream` it comes as it is generated."""
    _check_model(body.model, parts)
    image = await image_of(body, parts.fetcher)
    task, prompt = task_of(body.question.text)
    options = options_of(body, prompt, parts.settings.max_tokens)
    seconds = parts.settings.timeout
    completion = {"id": f"chatcmpl-{uuid.uuid4().hex}", "created": int(time.time()), "model": body.model}
    if not body.stream:
        reading = await while_connected(request, parts.reader.read(image, task=task, timeout=seconds, **options))
        _count(reading, parts)
        return JSONResponse({**_response(completion, reading).model_dump(exclude={"warnings"}), **_said(body)})
    pieces = parts.reader.stream(image, task=task, timeout=seconds, **options)
    first = await first_of(request, pieces)
    chunks = _chunks(first, pieces, completion, body, request, parts)
    return StreamingResponse(chunks, headers=_STREAM_HEADERS, media_type="text/event-stream")


async def _chunks(
    first: str | Reading,
    pieces: AsyncGenerator[str | Reading, None],
    completion: Mapping[str, Any],
    body: ChatRequest,
    request: Request,
    parts: Parts,
) -> AsyncGenerator[bytes, None]:
    head = {**completion, "object": "chat.completion.chunk"}
    with_usage = body.stream_options is not None and body.stream_options.include_usage
    # with usage asked for, OpenAI's chunks all have the field, null in all but the last
    usage = {"usage": None} if with_usage else {}

    def chunk(delta: Mapping[str, str], said: Mapping[str, Any] = _NOTHING, **reason: str | None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": None, **reason}
        return _event({**head, "choices": [choice], **usage, **said})

    try:
        yield chunk({"role": "assistant", "content": ""}, _said(body))
        item: str | Reading = first
        while isinstance(item, str):
            yield chunk({"content": item})
            item = await anext(pieces)
        _count(item, parts)
        reason, detail = _reasons(item)
        yield chunk({}, finish_reason=reason, stop_reason=detail)
        if with_usage:
            yield _event({**head, "choices": [], "usage": _usage(item).model_dump()})
    except Exception as error:
        # the status has been sent; clients of OpenAI's look for this
        yield _event(problem_of(error, request.state.request_id).as_error())
    finally:
        await pieces.aclose()
    yield format_sse_event(data_str="[DONE]")


def _event(data: Mapping[str, Any]) -> bytes:
    return format_sse_event(data_str=json.dumps(data))


def _said(body: ChatRequest) -> dict[str, Any]:
    return {"warnings": body.warnings} if body.warnings else {}


def _response(completion: Mapping[str, Any], reading: Reading) -> ChatResponse:
    reason, detail = _reasons(reading)
    message = AnswerMessage(content=reading.text)
    choice = Choice.model_construct(message=message, finish_reason=reason, stop_reason=detail)
    return ChatResponse.model_construct(**completion, choices=[choice], usage=_usage(reading))


def _reasons(reading: Reading) -> tuple[Literal["stop", "length"], Literal["repetition"] | None]:
    """OpenAI's reason, and vLLM's detail. Text that only repeats itself would have gone on to its length."""
    if reading.finish_reason is FinishReason.REPETITION:
        return "length", "repetition"
    return ("length" if reading.finish_reason is FinishReason.LENGTH else "stop"), None


def _usage(reading: Reading) -> Usage:
    prompt, answer = reading.num_input_tokens, reading.num_output_tokens
    return Usage(prompt_tokens=prompt, completion_tokens=answer, total_tokens=prompt + answer)


def _count(reading: Reading, parts: Parts) -> None:
    parts.metrics.tokens.labels("prompt").inc(reading.num_input_tokens)
    parts.metrics.tokens.labels("completion").inc(reading.num_output_tokens)


def _model(name: str) -> Model:
    return Model(id=name, created=_STARTED)


def _check_model(name: str, parts: Parts) -> None:
    served = parts.settings.served_model_names
    if name not in served:
        raise NoSuchModel(f"model: {name!r} is not served here, {' or '.join(served)} is", param="model")
