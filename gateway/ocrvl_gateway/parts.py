"""What the routes share, made once with the application."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from fastapi import Request
from pydantic import BaseModel

from ocrvl_gateway.fetch import Fetcher
from ocrvl_gateway.middleware.metrics import GatewayMetrics
from ocrvl_gateway.paddle.restructurer import Restructurer
from ocrvl_gateway.reader import Reader
from ocrvl_gateway.settings import GatewaySettings

_MEANINGS: Final = {
    400: "What was sent cannot be served as it is; the message names the field",
    401: "No known API key",
    404: "No such model",
    413: "More bytes than are taken",
    422: "What was sent cannot be served as it is; the message names the field",
    429: "Too many requests of this caller",
    500: "A fault of the server or of the gateway; the message has an id for the log",
    501: "A part whose packages are not installed",
    503: "Full, restarting or not reachable: try again",
    504: "No answer in time",
}


@dataclass(frozen=True)
class Parts:
    """The settings and what was made of them."""

    settings: GatewaySettings
    reader: Reader
    fetcher: Fetcher
    metrics: GatewayMetrics
    restructurer: Restructurer


def get_parts(request: Request) -> Parts:
    """Those of the application that a request came to."""
    parts: Parts = request.app.state.parts
    return parts


class ErrorBody(BaseModel):
    """What is wrong, as OpenAI says it."""

    message: str
    type: str
    param: str | None
    code: str


class ErrorResponse(BaseModel):
    """OpenAI's form."""

    error: ErrorBody


def events(*names: str) -> dict[int | str, dict[str, Any]]:
    """For a route's documentation: server-sent events of these names; without names they have data alone."""
    event = {"event": {"type": "string", "enum": list(names)}} if names else {}
    properties = {**event, "data": {"type": "string", "contentMediaType": "application/json"}}
    schema = {"type": "object", "properties": properties, "required": [*properties]}
    return {200: {"content": {"text/event-stream": {"schema": schema}}, "description": "Results as they come"}}


def refusals(*statuses: int, model: type[BaseModel] = ErrorResponse) -> dict[int | str, dict[str, Any]]:
    """For a route's documentation: the statuses that it may answer with instead of a result."""
    return {status: {"model": model, "description": _MEANINGS[status]} for status in statuses}
