"""What a request can be told instead of an answer: one table of statuses, and the two forms that clients know.

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

from ocrvl_client import (
    InvalidRequest,
    OcrvlError,
    RequestCancelled,
    RequestTimeout,
    ServerError,
    ServerUnavailable,
)

ENVELOPE_ROUTES: Final = ("/layout-parsing", "/restructure-pages")

CLIENT_GONE: Final = 499
"""Nobody sees it but the metrics (nginx's status for a caller that went away)."""

_MOST_FIELDS: Final = 5
_MESSAGE_BYTES: Final = 2048
_PARAM_BYTES: Final = 256
_FIELD_BYTES: Final = 256
"""Of a message as JSON, of what it is about, and of each part of what is said about a field: an answer that refuses is
less than 4 KiB, whatever was sent."""

_RETRY_SECONDS: Final = 2.0
"""When a full or restarting server is worth another try."""


class Refusal(HTTPException):
    """A request that is refused here. `param` names the field; `retry_after` is in seconds."""

    status = 400
    code = "invalid_value"

    def __init__(self, message: str, *, param: str | None = None, retry_after: float | None = None) -> None:
        super().__init__(self.status, message)
        self.message = message
        self.param = param
        self.retry_after = retry_after


class BadRequest(Refusal):
    """What was sent cannot be served as it is."""


class Unauthorized(Refusal):
    """No key, or one that is not known."""

    status, code = 401, "invalid_api_key"


class NoSuchModel(Refusal):
    """A model that is not served here."""

    status, code = 404, "model_not_found"


class NoSuchRoute(Refusal):
    """A path that leads nowhere."""

    status, code = 404, "not_found"


class TooSlow(Refusal):
    """A request that has not arrived in time."""

    status, code = 408, "request_timeout"


class TooLarge(Refusal):
    """More bytes than are taken."""

    status, code = 413, "request_too_large"


class TooManyRequests(Refusal):
    """More requests than this caller may send."""

    status, code = 429, "rate_limit_exceeded"


class NotInstalled(Refusal):
    """A part of the gateway whose packages are not there."""

    status, code = 501, "not_installed"


class Busy(Refusal):
    """More requests at a time than are taken."""

    status, code = 503, "overloaded"


class TooLate(Refusal):
    """No answer in time."""

    status, code = 504, "timeout"


class ClientGone(Refusal):
    """The caller has closed the connection."""

    status, code = CLIENT_GONE, "client_closed_request"


_BY_ERROR: Final[Sequence[tuple[type[OcrvlError], int, str]]] = (
    (InvalidRequest, 400, "invalid_value"),
    (RequestTimeout, 504, "timeout"),
    (ServerUnavailable, 503, "unavailable"),
    (RequestCancelled, 499, "cancelled"),
    (ServerError, 500, "server_error"),
)
_HAS_KINDS: Final = re.compile(r"(messages|content)\[[0-9]+\]$|^response_format$")
"""Fields that hold one of several kinds: the next part of a place within them is the kind."""

_KINDS: Final = {401: "authentication_error", 404: "not_found_error", 429: "rate_limit_error"}


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
    def kind(self) -> str:
        """OpenAI's `type`."""
        return _KINDS.get(self.status, "server_error" if self.status >= 500 else "invalid_request_error")

    def as_error(self) -> dict[str, Any]:
        """OpenAI's form."""
        param = None if self.param is None else clip(self.param, _PARAM_BYTES)
        message = clip(self.message, _MESSAGE_BYTES)
        return {"error": {"message": message, "type": self.kind, "param": param, "code": self.code}}

    def as_envelope(self, log_id: str) -> dict[str, Any]:
        """The form of PaddleOCR's service."""
        message = json.dumps(self.fields) if self.fields else clip(self.message, _MESSAGE_BYTES)
        return {"logId": log_id, "errorCode": self.status, "errorMsg": message}

    def to_json(self) -> bytes:
        """For a process that hands it on; without headers."""
        return json.dumps([self.status, self.code, self.message, self.param, self.retry_after, self.fields]).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Problem:
        """What `to_json` gave."""
        status, code, message, param, retry_after, fields = json.loads(data)
        return cls(status, code, message, param, retry_after, tuple(fields))

    def response(self, route: str | None, log_id: str) -> Response:
        """The answer, in the form that the clients of this route know; None is no route."""
        in_envelope = route in ENVELOPE_ROUTES
        # PaddleOCR's service has 422 for all that is wrong with a request
        problem = replace(self, status=422) if in_envelope and self.status == 400 else self
        body = problem.as_envelope(log_id) if in_envelope else problem.as_error()
        headers = dict(self.headers)
        if self.retry_after is not None:
            headers["Retry-After"] = str(math.ceil(self.retry_after))
        if self.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        if self.status in (408, 413):
            headers["Connection"] = "close"  # what is still on its way is not read
        return Response(json.dumps(body), problem.status, headers, "application/json")


def problem_of(error: Exception, request_id: str) -> Problem:
    """What a caller is told about an error. What nobody foresaw has only the id of the request."""
    if isinstance(error, Refusal):
        return Problem(error.status_code, error.code, error.message, error.param, error.retry_after)
    if isinstance(error, RequestValidationError):
        return _of_validation(error)
    if isinstance(error, HTTPException):
        return Problem(error.status_code, "invalid_request", str(error.detail), headers=error.headers or {})
    for kind, status, code in _BY_ERROR:
        if isinstance(error, kind):
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
    problems = error.errors()
    fields = [
        {
            "type": problem["type"],
            "loc": clip(_dotted(problem["loc"]), _FIELD_BYTES),
            "msg": clip(_in_words(problem), _FIELD_BYTES),
        }
        for problem in problems[:_MOST_FIELDS]
    ]
    first = fields[0]
    if len(problems) > _MOST_FIELDS:
        fields.append({"type": "more", "loc": "", "msg": f"and {len(problems) - _MOST_FIELDS} more problems"})
    message = "; ".join(f"{field['loc']}: {field['msg']}" if field["loc"] else field["msg"] for field in fields)
    return Problem(400, "invalid_value", message, param=first["loc"] or None, fields=tuple(fields))


def _in_words(problem: Mapping[str, Any]) -> str:
    if problem["type"] == "extra_forbidden":
        return "not known here, or not supported; leave it out"
    if problem["type"] == "model_attributes_type" and problem["loc"] == ("body",):
        # curl sends forms unless it is told otherwise
        return "the body is read as JSON only with the header Content-Type: application/json"
    message: str = problem["msg"]
    return message.removeprefix("Value error, ")


def _dotted(location: Sequence[str | int]) -> str:
    """A place in the request as it would be written in a program, without the kinds that pydantic tells apart.

    >>> _dotted(("body", "messages", 0, "user", "content", 1, "text", "text"))
    'messages[0].content[1].text'
    """
    path = ""
    is_kind = False
    for part in location[1:]:
        if is_kind and isinstance(part, str):
            is_kind = False
            continue
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
        is_kind = _HAS_KINDS.search(path) is not None
    return path
