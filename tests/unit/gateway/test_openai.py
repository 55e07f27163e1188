"""The gateway as OpenAI's clients see it, with a reader that stands in for the server."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from ocrvl.prompts import TASK_PROMPTS
from ocrvl.wire import FinishReason, Task
from ocrvl_client import InvalidRequest, RequestTimeout, ServerError, ServerUnavailable
from ocrvl_gateway.settings import SERVED_MODEL_NAMES
from tests.support.gateways import DATA_URL, IMAGE, GatewayClient, ScriptedReader, chat, make_app

CHAT = "/v1/chat/completions"


def events(answer: httpx.Response) -> list[Any]:
    """The data of a stream of events, in order; the last is OpenAI's end."""
    lines = [line.removeprefix("data: ") for line in answer.text.split("\n\n") if line]
    assert lines[-1] == "[DONE]"
    return [json.loads(line) for line in lines[:-1]]


def test_an_image_is_read_once_and_its_text_and_tokens_come_back(reader: ScriptedReader, client: GatewayClient) -> None:
    answer = client.post(CHAT, json=chat())
    assert answer.status_code == 200
    body = answer.json()
    assert body["object"] == "chat.completion"
    assert body["model"] == SERVED_MODEL_NAMES[0]
    assert body["choices"][0]["message"] == {"role": "assistant", "content": "Soup of the day"}
    assert body["choices"][0]["finish_reason"] == "stop"
    assert body["usage"] == {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    assert [data for data, _ in reader.requests] == [IMAGE]


@pytest.mark.parametrize("task", Task)
def test_a_task_prompt_becomes_its_task_in_the_models_own_words(
    task: Task, reader: ScriptedReader, client: GatewayClient
) -> None:
    client.post(CHAT, json=chat(f" {TASK_PROMPTS[task]}\n"))
    assert reader.requests[0][1] == {"task": task, "timeout": 300.0, "raw": True}


def test_any_other_text_is_the_prompt(reader: ScriptedReader, client: GatewayClient) -> None:
    client.post(CHAT, json=chat("What is the total?"))
    assert reader.requests[0][1]["prompt"] == "What is the total?"
    assert reader.requests[0][1]["task"] is Task.OCR


def test_options_of_openai_and_of_vllm_reach_the_server(reader: ScriptedReader, client: GatewayClient) -> None:
    schema = {"type": "object", "properties": {"total": {"type": "string"}}}
    answer = client.post(
        CHAT,
        json=chat(
            max_completion_tokens=100,
            temperature=0.5,
            top_p=0.9,
            seed=3,
            stop="\n\n",
            repetition_penalty=1.1,
            mm_processor_kwargs={"min_pixels": 1000, "max_pixels": 2000},
            response_format={"type": "json_schema", "json_schema": {"name": "bill", "schema": schema, "strict": True}},
            skip_special_tokens=True,
        ),
    )
    assert answer.status_code == 200, answer.text
    assert reader.requests[0][1] == {
        "task": Task.OCR,
        "timeout": 300.0,
        "raw": True,
        "max_tokens": 100,
        "temperature": 0.5,
        "top_p": 0.9,
        "seed": 3,
        "stop": ["\n\n"],
        "repetition_penalty": 1.1,
        "min_pixels": 1000,
        "max_pixels": 2000,
        "json_schema": schema,
    }


@pytest.mark.parametrize(
    ("requested", "limit", "sent"), [(8192, None, None), (10, None, 10), (8192, 500, 500), (10, 500, 10)]
)
def test_a_request_for_more_tokens_than_allowed_is_cut(requested: int, limit: int | None, sent: int | None) -> None:
    reader = ScriptedReader()
    GatewayClient(make_app(reader, max_tokens=limit)).post(CHAT, json=chat(max_tokens=requested))
    assert reader.requests[0][1].get("max_tokens") == sent


def test_text_that_repeated_itself_says_so_beside_a_reason_that_clients_know(
    reader: ScriptedReader, client: GatewayClient
) -> None:
    reader.reason = FinishReason.REPETITION
    (choice,) = client.post(CHAT, json=chat()).json()["choices"]
    assert (choice["finish_reason"], choice["stop_reason"]) == ("length", "repetition")


def test_a_stream_brings_the_pieces_then_the_reason_then_the_tokens(client: GatewayClient) -> None:
    answer = client.post(CHAT, json=chat(stream=True, stream_options={"include_usage": True}))
    assert answer.headers["content-type"].startswith("text/event-stream")
    first, *pieces, last, usage = events(answer)
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert [piece["choices"][0]["delta"]["content"] for piece in pieces] == ["Soup ", "of the ", "day"]
    assert last["choices"][0]["finish_reason"] == "stop"
    assert usage["choices"] == []
    assert usage["usage"]["completion_tokens"] == 3
    assert len({chunk["id"] for chunk in (first, *pieces, last, usage)}) == 1


def test_a_stream_that_breaks_ends_with_an_error(reader: ScriptedReader, client: GatewayClient) -> None:
    reader.pieces = ["Soup ", ServerUnavailable("the engine is restarting")]
    *_, last = events(client.post(CHAT, json=chat(stream=True)))
    assert last["error"] == {
        "message": "the engine is restarting",
        "type": "server_error",
        "param": None,
        "code": "unavailable",
    }


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (InvalidRequest("image 0: it is a damaged JPEG"), 400, "invalid_value"),
        (ServerUnavailable("the queue is full"), 503, "unavailable"),
        (RequestTimeout("no answer within 1 s"), 504, "timeout"),
        (ServerError("a fault of the server, id 7"), 500, "server_error"),
    ],
)
def test_errors_of_the_server_have_a_status_and_its_message(
    error: Exception, status: int, code: str, stream: bool, reader: ScriptedReader, client: GatewayClient
) -> None:
    reader.error = error
    answer = client.post(CHAT, json=chat(stream=stream))
    assert answer.status_code == status
    assert answer.json()["error"]["message"] == str(error)
    assert answer.json()["error"]["code"] == code
    assert ("retry-after" in answer.headers) == (status == 503)


def test_a_fault_of_the_gateway_shows_nothing_but_the_id_of_its_log(
    reader: ScriptedReader, client: GatewayClient
) -> None:
    reader.error = RuntimeError("a secret of the code")
    answer = client.post(CHAT, json=chat(), headers={"X-Request-Id": "order-7"})
    assert answer.status_code == 500
    assert "order-7" in answer.json()["error"]["message"]
    assert "secret" not in answer.text


def message(**fields: Any) -> dict[str, Any]:
    return {**chat(), "messages": [{"role": "user", "content": [{"type": "text", "text": "OCR:"}], **fields}]}


@pytest.mark.parametrize(
    ("body", "param", "words"),
    [
        (chat(top_p=0), "top_p", "greater than 0"),
        (chat(n=2), "n", "should be 1"),
        (chat(tools=[{"type": "function"}]), "tools", "at most 0"),
        (chat(top_k=5), "top_k", "-1 or 0"),
        (chat(reasoning_effort="high"), "reasoning_effort", "'none'"),
        (chat(shiny_new_field=1), "shiny_new_field", "leave it out"),
        (chat(max_tokens="many"), "max_tokens", "integer"),
        (chat(mm_processor_kwargs={"size": 1}), "mm_processor_kwargs.size", "leave it out"),
        (chat(response_format={"type": "xml"}), "response_format", "json_schema"),
        (message(), "messages[0]", "0 images"),
        (message(role="assistant"), "messages[0]", "'user'"),
        (message(role="system"), "messages", "0 messages of the role user"),
        ({**chat(), "messages": chat()["messages"] * 2}, "messages", "2 messages of the role user"),
        (message(content="OCR:"), "messages[0]", "0 images"),
        (message(content=[{"type": "image_url", "image_url": 7}]), "messages[0].content[0].image_url", "object"),
        (message(content=[{"type": "input_audio"}]), "messages[0].content[0]", "'image_url'"),
        ({**chat(), "messages": []}, "messages", "at least 1"),
        (chat(url="data:image/png,x"), "messages[0].content[0].image_url.url", "base64"),
        (chat(url="data:image/png;base64,"), "messages[0].content[0].image_url.url", "no bytes"),
        (chat(url="data:image/png;base64,%%%%"), "messages[0].content[0].image_url.url", "not base64"),
        (chat(url="https://example.com/a.png"), "messages[0].content[0].image_url.url", "not fetched"),
        (chat(url="file:///etc/passwd"), "messages[0].content[0].image_url.url", "not fetched"),
    ],
)
def test_what_is_wrong_with_a_request_is_named_and_the_server_not_asked(
    body: dict[str, Any], param: str, words: str, reader: ScriptedReader, client: GatewayClient
) -> None:
    answer = client.post(CHAT, json=body)
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert error["param"].startswith(param)
    assert words in error["message"]
    assert not reader.requests


def test_a_body_that_is_not_json_is_refused(client: GatewayClient) -> None:
    answer = client.post(CHAT, content=b'{"model": ', headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert "JSON" in answer.json()["error"]["message"]


def test_a_body_of_another_content_type_is_refused_with_the_one_to_send(client: GatewayClient) -> None:
    answer = client.post(CHAT, content=json.dumps(chat()), headers={"Content-Type": "text/plain"})
    assert answer.status_code == 400
    assert "Content-Type: application/json" in answer.json()["error"]["message"]


def test_a_model_that_is_not_served_is_not_found(client: GatewayClient) -> None:
    answer = client.post(CHAT, json={**chat(), "model": "gpt-4o"})
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "model_not_found"
    assert SERVED_MODEL_NAMES[0] in answer.json()["error"]["message"]


def test_models_are_listed_by_the_names_that_paddleocr_asks_for(client: GatewayClient) -> None:
    listed = client.get("/v1/models").json()["data"]
    assert [model["id"] for model in listed] == list(SERVED_MODEL_NAMES)
    assert client.get(f"/v1/models/{SERVED_MODEL_NAMES[1]}").json()["id"] == SERVED_MODEL_NAMES[1]
    assert client.get("/v1/models/other").status_code == 404


def test_the_text_may_come_before_the_image(reader: ScriptedReader, client: GatewayClient) -> None:
    content = [{"type": "text", "text": "Spotting:"}, {"type": "image_url", "image_url": {"url": DATA_URL}}]
    assert client.post(CHAT, json=message(content=content)).status_code == 200
    assert reader.requests[0][1]["task"] is Task.SPOTTING


@pytest.mark.parametrize(
    "fields",
    [
        {"tools": None, "logit_bias": None, "reasoning_effort": None, "a_field_of_next_year": None},
        {"tools": [], "stop_token_ids": [], "logit_bias": {}, "chat_template_kwargs": {}, "tool_choice": "none"},
        {"top_k": -1, "min_p": 0, "top_logprobs": 0, "length_penalty": 1, "ignore_eos": False, "min_tokens": 0},
        {"n": 1, "frequency_penalty": 0, "presence_penalty": 0.0, "logprobs": False, "parallel_tool_calls": True},
        {"stream_options": None, "mm_processor_kwargs": {"min_pixels": None, "size": None}},
    ],
)
def test_fields_without_effect_are_taken_as_vllms_server_takes_them(
    fields: dict[str, Any], reader: ScriptedReader, client: GatewayClient
) -> None:
    answer = client.post(CHAT, json=chat(**fields))
    assert answer.status_code == 200, answer.text
    assert reader.requests[0][1] == {"task": Task.OCR, "timeout": 300.0, "raw": True}
    assert "warnings" not in answer.json()


@pytest.mark.parametrize("role", ["system", "developer"])
@pytest.mark.parametrize("content", ["Be brief.", [{"type": "text", "text": "Be brief."}]])
def test_a_system_message_is_taken_with_a_warning_that_it_has_no_effect(
    role: str, content: Any, reader: ScriptedReader, client: GatewayClient
) -> None:
    messages = [{"role": role, "content": content}, *chat()["messages"]]
    warnings = client.post(CHAT, json=chat(messages=messages)).json()["warnings"]
    assert warnings == [f"messages[0]: a message of the role {role} has no effect, the model knows none"]
    first, *others = events(client.post(CHAT, json=chat(messages=messages, stream=True)))
    assert first["warnings"] == warnings
    assert not [chunk for chunk in others if "warnings" in chunk]
    assert [options["task"] for _, options in reader.requests] == [Task.OCR] * 2


@pytest.mark.parametrize("content", ["", " \n", [], None])
def test_an_empty_system_message_is_no_message(content: Any, client: GatewayClient) -> None:
    messages = [{"role": "system", "content": content}, *chat()["messages"]]
    assert "warnings" not in client.post(CHAT, json=chat(messages=messages)).json()


def test_the_index_of_a_message_counts_the_system_message(client: GatewayClient) -> None:
    messages = [{"role": "system", "content": "Be brief."}, *chat(url="data:image/png,x")["messages"]]
    error = client.post(CHAT, json=chat(messages=messages)).json()["error"]
    assert error["param"] == "messages[1].content[0].image_url.url"


def test_an_image_url_may_be_a_plain_string(reader: ScriptedReader, client: GatewayClient) -> None:
    content = [{"type": "image_url", "image_url": DATA_URL}, {"type": "text", "text": "OCR:"}]
    assert client.post(CHAT, json=message(content=content)).status_code == 200
    assert reader.requests[0][0] == IMAGE


def test_a_base_url_without_v1_reaches_the_same_routes(reader: ScriptedReader, client: GatewayClient) -> None:
    assert client.post(CHAT.removeprefix("/v1"), json=chat()).status_code == 200
    assert client.get("/models").json() == client.get("/v1/models").json()
    assert client.get(f"/models/{SERVED_MODEL_NAMES[0]}").status_code == 200
