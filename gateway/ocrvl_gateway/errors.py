"""Why a request is refused: an exception for each status and code. `problems` makes the answers."""

from __future__ import annotations

from typing import Final

from starlette.exceptions import HTTPException

CLIENT_CLOSED_REQUEST: Final = 499
"""Only the metrics see it (nginx's status for a client that disconnected)."""


class Refusal(HTTPException):
    """A request that the gateway refuses. `param` names the field; `retry_after` is in seconds."""

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
    """No API key, or one that is not known."""

    status, code = 401, "invalid_api_key"


class ModelNotFound(Refusal):
    """A model that is not served here."""

    status, code = 404, "model_not_found"


class RouteNotFound(Refusal):
    """A path without a route."""

    status, code = 404, "not_found"


class BodyTimeout(Refusal):
    """A body that has not arrived in time."""

    status, code = 408, "request_timeout"


class ContentTooLarge(Refusal):
    """More bytes than are taken."""

    status, code = 413, "request_too_large"


class TooManyRequests(Refusal):
    """More requests than this client may send."""

    status, code = 429, "rate_limit_exceeded"


class NotInstalled(Refusal):
    """A part of the gateway whose packages are not installed."""

    status, code = 501, "not_installed"


class Overloaded(Refusal):
    """More requests at a time, or bytes of them, than are taken."""

    status, code = 503, "overloaded"


class GatewayTimeout(Refusal):
    """No answer in time."""

    status, code = 504, "timeout"


class ClientDisconnected(Refusal):
    """The client has closed the connection."""

    status, code = CLIENT_CLOSED_REQUEST, "client_closed_request"
