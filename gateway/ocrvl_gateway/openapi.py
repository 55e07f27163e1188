"""What routes say of their answers in the OpenAPI document."""

from __future__ import annotations

from typing import Any, Final

from pydantic import BaseModel

_DESCRIPTIONS: Final = {
    400: "What was sent cannot be served as it is; the message names the field",
    401: "No known API key",
    404: "No such model",
    413: "More bytes than are taken",
    422: "What was sent cannot be served as it is; the message names the field",
    429: "Too many requests of this client",
    500: "A fault of the server or of the gateway; the message has an id for the log",
    501: "A part whose packages are not installed",
    503: "Full, restarting or not reachable: try again",
    504: "No answer in time",
}


class ErrorBody(BaseModel):
    """What is wrong, in OpenAI's form."""

    message: str
    type: str
    param: str | None
    code: str


class ErrorResponse(BaseModel):
    """OpenAI's form of an error."""

    error: ErrorBody


def event_stream(*names: str) -> dict[int | str, dict[str, Any]]:
    """Server-sent events of these names; without names they have data alone."""
    event = {"event": {"type": "string", "enum": list(names)}} if names else {}
    properties = {**event, "data": {"type": "string", "contentMediaType": "application/json"}}
    schema = {"type": "object", "properties": properties, "required": [*properties]}
    return {200: {"content": {"text/event-stream": {"schema": schema}}, "description": "Results as they come"}}


def error_responses(*statuses: int, model: type[BaseModel] = ErrorResponse) -> dict[int | str, dict[str, Any]]:
    """The statuses that a route may answer with instead of a result, and the form of their bodies."""
    return {status: {"model": model, "description": _DESCRIPTIONS[status]} for status in statuses}
