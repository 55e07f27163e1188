"""Errors as answers: one table of statuses, and the two forms that clients know.

`/layout-parsing` and `/restructure-pages` answer in the envelope of PaddleOCR's service, all else as OpenAI does.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from ocrvl.validation import FieldError
from ocrvl_client import (
    InvalidRequest,
    OcrvlError,
    RequestCancelled,
    RequestTimeout,
    ServerError,
    ServerUnavailable,
)
from ocrvl_gateway.errors import CLIENT_CLOSED_REQUEST, Refusal

PADDLE_ROUTES: Final = ("/layout-parsing", "/restructure-pages")

_MAX_FIELDS: Final = 5
_MESSAGE_BYTES: Final = 2048
_PARAM_BYTES: Final = 256
_FIELD_BYTES: Final = 256
"""Of a message as JSON, of what it is about, and of each part of a field's error: the answer is less than 4 KiB,
whatever was sent."""

_RETRY_SECONDS: Final = 2.0
"""When a full or restarting server is worth another try."""

_STATUSES: Final[Sequence[tuple[type[OcrvlError], int, str]]] = (
    (InvalidRequest, 400, "invalid_value"),
    (RequestTimeout, 504, "timeout"),
    (ServerUnavailable, 503, "unavailable"),
    (RequestCancelled, CLIENT_CLOSED_REQUEST, "cancelled"),
    (ServerError, 500, "server_error"),
)
_UNIONS: Final = re.compile(r"(messages|content)\[[0-9]+\]$|^response_format$")
"""Fields that hold one of several types: the next part of a location within them is the type's tag."""

_TYPES: Final = {401: "authentication_error", 404: "not_found_error", 429: "rate_limit_error"}


@dataclass(frozen=True)
class Problem:
    """What is answered instead of a result. `fields` are all that was wrong with the body, where that is known."""

    status: int
    code: str
    message: str
    param: str | None = None
    retry_after: float | None = None
    fields: tuple[Mapping[str, str], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def type(self) -> str:
        """OpenAI's `type`."""
        return _TYPES.get(self.status, "server_error" if self.status >= 500 else "invalid_request_error")

    def to_openai(self) -> dict[str, Any]:
        """OpenAI's body of an error."""
        param = None if self.param is None else clip(self.param, _PARAM_BYTES)
        message = clip(self.message, _MESSAGE_BYTES)
        return {"error": {"message": message, "type": self.type, "param": param, "code": self.code}}

    def to_paddle(self, log_id: str) -> dict[str, Any]:
        """The envelope of an error of PaddleOCR's service."""
        message = json.dumps(self.fields) if self.fields else clip(self.message, _MESSAGE_BYTES)
        return {"logId": log_id, "errorCode": self.status, "errorMsg": message}

    def to_response(self, route: str | None, request_id: str) -> Response:
        """The answer, in the form that the clients of this route know; None is no route."""
        is_paddle = route in PADDLE_ROUTES
        # PaddleOCR's service has 422 for all that is wrong with a request
        problem = replace(self, status=422) if is_paddle and self.status == 400 else self
        body = problem.to_paddle(request_id) if is_paddle else problem.to_openai()
        headers = dict(self.headers)
        if self.retry_after is not None:
            headers["Retry-After"] = str(math.ceil(self.retry_after))
        if self.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        if self.status in (408, 413):
            headers["Connection"] = "close"  # what is still on its way is not read
        return Response(json.dumps(body), problem.status, headers, "application/json")


def problem_of(error: Exception, request_id: str) -> Problem:
    """What a client is told about an error. An unexpected one has only the id of the request."""
    if isinstance(error, Refusal):
        return Problem(error.status_code, error.code, error.message, error.param, error.retry_after)
    if isinstance(error, RequestValidationError):
        return _of_validation(error)
    if isinstance(error, HTTPException):
        return Problem(error.status_code, "invalid_request", str(error.detail), headers=error.headers or {})
    for error_type, status, code in _STATUSES:
        if isinstance(error, error_type):
            retry = _RETRY_SECONDS if status == 503 else None
            return Problem(status, code, str(error), retry_after=retry)
    return Problem(500, "server_error", f"a fault of the gateway; its log has it under the id {request_id}")


def clip(text: str, limit: int) -> str:
    """The beginning of a text that takes at most about `limit` bytes as JSON.

    >>> clip("short", 99), clip("long" * 99, 12), clip("\u20ac" * 99, 30)
    ('short', 'longlonglong…', '€€€…')
    """
    if len(text) <= limit and len(json.dumps(text)) <= limit + 2:
        return text
    kept = text[:limit]
    while len(json.dumps(kept)) > limit + 2:
        kept = kept[: len(kept) // 2]
    return kept + "…"


def _of_validation(error: RequestValidationError) -> Problem:
    errors = [FieldError.from_details(details) for details in error.errors()]
    fields = [
        {
            "type": one.kind,
            "loc": clip(_dotted(one.path), _FIELD_BYTES),
            "msg": clip(_message_of(one), _FIELD_BYTES),
        }
        for one in errors[:_MAX_FIELDS]
    ]
    first = fields[0]
    if len(errors) > _MAX_FIELDS:
        fields.append({"type": "more", "loc": "", "msg": f"and {len(errors) - _MAX_FIELDS} more problems"})
    message = "; ".join(f"{field['loc']}: {field['msg']}" if field["loc"] else field["msg"] for field in fields)
    return Problem(400, "invalid_value", message, param=first["loc"] or None, fields=tuple(fields))


def _message_of(error: FieldError) -> str:
    if error.is_unknown_key:
        return "not known here, or not supported; leave it out"
    if error.kind == "model_attributes_type" and error.path == ("body",):
        # curl sends forms unless it is told otherwise
        return "the body is read as JSON only with the header Content-Type: application/json"
    return error.message


def _dotted(location: Sequence[str | int]) -> str:
    """A location in the request as it would be written in a program, without the tags of pydantic's unions.

    >>> _dotted(("body", "messages", 0, "user", "content", 1, "text", "text"))
    'messages[0].content[1].text'
    """
    path = ""
    is_tag = False
    for part in location[1:]:
        if is_tag and isinstance(part, str):
            is_tag = False
            continue
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
        is_tag = _UNIONS.search(path) is not None
    return path
