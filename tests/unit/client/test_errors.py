"""`ocrvl_client._errors`: the error for what a server says."""

from __future__ import annotations

import pytest

from ocrvl.wire import ErrorCode, tag_message
from ocrvl_client import (
    InvalidRequest,
    OcrvlError,
    RequestCancelled,
    RequestTimeout,
    ServerError,
    ServerUnavailable,
)
from ocrvl_client._errors import error_from_server


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (ErrorCode.INVALID_ARG, InvalidRequest),
        (ErrorCode.UNAVAILABLE, ServerUnavailable),
        (ErrorCode.CANCELLED, RequestCancelled),
        (ErrorCode.INTERNAL, ServerError),
    ],
)
def test_our_tag_decides_whatever_the_status_says(code: ErrorCode, expected: type[OcrvlError]) -> None:
    error = error_from_server(f"in ensemble 'ocr', {tag_message(code, 'why')}", "StatusCode.INTERNAL")
    assert type(error) is expected
    assert str(error) == "why"


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("StatusCode.INVALID_ARGUMENT", InvalidRequest),
        ("StatusCode.NOT_FOUND", InvalidRequest),
        ("StatusCode.UNAVAILABLE", ServerUnavailable),
        ("StatusCode.DEADLINE_EXCEEDED", RequestTimeout),
        ("StatusCode.CANCELLED", RequestCancelled),
        ("StatusCode.INTERNAL", ServerError),
        ("400", InvalidRequest),
        ("499", RequestCancelled),
        ("503", ServerUnavailable),
        ("500", ServerError),
        (None, ServerError),
    ],
)
def test_without_a_tag_the_status_decides(status: str | None, expected: type[OcrvlError]) -> None:
    assert type(error_from_server("why", status)) is expected


@pytest.mark.parametrize("model", ["ocr", "receipt"])
@pytest.mark.parametrize("status", ["StatusCode.NOT_FOUND", "StatusCode.UNAVAILABLE", "400", "404"])
def test_a_model_that_is_loading_or_unloaded_by_a_server_that_stops_is_away_for_now(model: str, status: str) -> None:
    error = error_from_server(f"Request for unknown model: '{model}' has no available versions", status)
    assert type(error) is ServerUnavailable
