"""`/v1/chat/completions` and `/v1/models`; the same without `/v1`, for clients whose base URL was given without it."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncGenerator, Mapping
from typing import Any, Final, Literal

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from fastapi.sse import format_sse_event

from ocrvl.wire import FinishReason
from ocrvl_client import Reading
from ocrvl_gateway.dependencies import Services, ServicesDep
from ocrvl_gateway.disconnect import cancel_on_disconnect, first_item
from ocrvl_gateway.errors import ModelNotFound
from ocrvl_gateway.json_body import BoundedJsonRoute
from ocrvl_gateway.openai.mapping import image_of, options_of, task_of
from ocrvl_gateway.openai.schemas import (
    AssistantMessage,
    ChatRequest,
    ChatResponse,
    Choice,
    Model,
    ModelList,
    Usage,
)
from ocrvl_gateway.openapi import error_responses, event_stream
from ocrvl_gateway.problems import problem_of
from ocrvl_gateway.server_sent_events import encode_event, event_stream_response

router = APIRouter(tags=["OpenAI"], route_class=BoundedJsonRoute)
_STARTED: Final = int(time.time())
_EMPTY: Final[Mapping[str, Any]] = {}


@router.get("/models", include_in_schema=False)
@router.get("/v1/models", operation_id="listModels", responses=error_responses(401))
async def list_models(services: ServicesDep) -> ModelList:
    """The names of the model; they are all the same model."""
    return ModelList(data=[_model(name) for name in services.settings.served_model_names])


@router.get("/models/{model}", include_in_schema=False)
@router.get("/v1/models/{model}", operation_id="getModel", responses=error_responses(401, 404))
async def get_model(model: str, services: ServicesDep) -> Model:
    """One of the names."""
    _check_model(model, services)
    return _model(model)


@router.post("/chat/completions", include_in_schema=False)
@router.post(
    "/v1/chat/completions",
    operation_id="createChatCompletion",
    response_model=ChatResponse,
    responses={
        **event_stream(),
        **error_responses(400, 401, 404, 413, 429, 500, 503, 504),
    },
)
async def create_chat_completion(body: ChatRequest, request: Request, services: ServicesDep) -> Any:
    """Read one image. The text is the model's own words; with `stream` it comes as it is generated."""
    _check_model(body.model, services)
    image = await image_of(body, services.fetcher)
    task, prompt = task_of(body.user_message.text)
    options = options_of(body, prompt, services.settings.max_tokens)
    timeout = services.settings.timeout
    completion = {"id": f"chatcmpl-{uuid.uuid4().hex}", "created": int(time.time()), "model": body.model}
    if not body.stream:
        coroutine = services.reader.read(image, task=task, timeout=timeout, **options)
        reading = await cancel_on_disconnect(request, coroutine)
        _count(reading, services)
        return JSONResponse({**_response(completion, reading).model_dump(exclude={"warnings"}), **_warnings(body)})
    items = services.reader.stream(image, task=task, timeout=timeout, **options)
    first = await first_item(request, items)
    chunks = _chunks(first, items, completion, body, request, services)
    return event_stream_response(chunks)


async def _chunks(
    first: str | Reading,
    items: AsyncGenerator[str | Reading, None],
    completion: Mapping[str, Any],
    body: ChatRequest,
    request: Request,
    services: Services,
) -> AsyncGenerator[bytes, None]:
    head = {**completion, "object": "chat.completion.chunk"}
    with_usage = body.stream_options is not None and body.stream_options.include_usage
    # with `include_usage`, OpenAI's chunks all have the field, null in all but the last
    usage = {"usage": None} if with_usage else {}

    def chunk(delta: Mapping[str, str], extra: Mapping[str, Any] = _EMPTY, **reason: str | None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": None, **reason}
        return encode_event({**head, "choices": [choice], **usage, **extra})

    try:
        yield chunk({"role": "assistant", "content": ""}, _warnings(body))
        item: str | Reading = first
        while isinstance(item, str):
            yield chunk({"content": item})
            item = await anext(items)
        _count(item, services)
        reason, detail = _reasons(item)
        yield chunk({}, finish_reason=reason, stop_reason=detail)
        if with_usage:
            yield encode_event({**head, "choices": [], "usage": _usage(item).model_dump()})
    except Exception as error:
        # the status has been sent; clients of OpenAI's look for this
        yield encode_event(problem_of(error, request.state.request_id).to_openai())
    finally:
        await items.aclose()
    yield format_sse_event(data_str="[DONE]")


def _warnings(body: ChatRequest) -> dict[str, Any]:
    return {"warnings": body.warnings} if body.warnings else {}


def _response(completion: Mapping[str, Any], reading: Reading) -> ChatResponse:
    reason, detail = _reasons(reading)
    message = AssistantMessage(content=reading.text)
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


def _count(reading: Reading, services: Services) -> None:
    services.metrics.tokens.labels("prompt").inc(reading.num_input_tokens)
    services.metrics.tokens.labels("completion").inc(reading.num_output_tokens)


def _model(name: str) -> Model:
    return Model(id=name, created=_STARTED)


def _check_model(name: str, services: Services) -> None:
    served = services.settings.served_model_names
    if name not in served:
        raise ModelNotFound(f"model: {name!r} is not served here, {' or '.join(served)} is", param="model")
