"""What the store's answers mean: one server over HTTP says what S3 would."""

from __future__ import annotations

import asyncio
import time
from http.server import BaseHTTPRequestHandler

import pytest

from ocrvl.launcher.ports import find_free_port
from ocrvl_receipts import store
from ocrvl_receipts.objects import ObjectRef
from ocrvl_receipts.store import (
    AccessDenied,
    ObjectChanged,
    ObjectNotFound,
    ObjectStore,
    ObjectTooLarge,
    StoreError,
    StoreFault,
    StoreUnavailable,
)
from tests.support.receipts import make_settings
from tests.support.servers import Handler, listening, say

REF = ObjectRef(bucket="receipts", key="in/a b.png", etag="9b2cf5", version="v7")


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")


def refuse(status: int, code: str = "") -> Handler:
    def handle(request: BaseHTTPRequestHandler) -> None:
        say(request, status, f"<?xml version='1.0'?><Error><Code>{code}</Code></Error>" if code else "")

    return handle


def read_from(port: int) -> bytes:
    return asyncio.run(ObjectStore(make_settings(endpoint=f"http://127.0.0.1:{port}")).read(REF, 100))


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "ExpiredToken", StoreUnavailable),
        (403, "InvalidAccessKeyId", StoreUnavailable),
        (403, "SignatureDoesNotMatch", StoreUnavailable),
        (403, "RequestTimeTooSkewed", StoreUnavailable),
        (401, "", StoreUnavailable),
        (503, "SlowDown", StoreUnavailable),
        (503, "", StoreUnavailable),
        (429, "", StoreUnavailable),
        (403, "AccessDenied", AccessDenied),
        (404, "NoSuchKey", ObjectNotFound),
        (404, "NoSuchBucket", ObjectNotFound),
        (412, "PreconditionFailed", ObjectChanged),
        (500, "InternalError", StoreFault),
        (400, "", StoreFault),
    ],
)
def test_an_answer_is_the_receipt_s_fault_the_store_s_or_doubtful(
    status: int, code: str, kind: type[StoreError]
) -> None:
    with listening(refuse(status, code)) as port, pytest.raises(kind) as error:
        read_from(port)
    assert "Debug source" not in str(error.value)
    assert "\n" not in str(error.value)
    assert str(error.value).endswith(f": {code}" if code else "")


def test_an_address_without_a_store_is_unavailable() -> None:
    with pytest.raises(StoreUnavailable):
        read_from(find_free_port())


def test_a_machine_without_credentials_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "/dev/null")
    with listening(refuse(403)) as port:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"http://127.0.0.1:{port}/keys")
        with pytest.raises(StoreUnavailable, match="no credentials"):
            read_from(port)


def test_a_store_that_does_not_answer_is_a_fault_after_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "_REQUEST_SECONDS", 0.2)
    with listening(lambda request: time.sleep(1)) as port, pytest.raises(StoreFault):
        read_from(port)


def test_what_is_asked_names_the_state_that_is_meant() -> None:
    asked: list[tuple[str, str | None]] = []

    def handle(request: BaseHTTPRequestHandler) -> None:
        asked.append((request.path, request.headers["If-Match"]))
        request.send_response(200)
        request.send_header("Content-Length", "5")
        request.send_header("ETag", '"9b2cf5"')
        request.send_header("Last-Modified", "Mon, 30 Nov 2026 18:30:37 GMT")
        request.end_headers()
        request.wfile.write(b"image")

    with listening(handle) as port:
        assert read_from(port) == b"image"
    assert asked == [("/receipts/in/a%20b.png?versionId=v7", '"9b2cf5"')]


def test_a_long_object_is_refused_by_its_length_alone() -> None:
    def handle(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Length", str(200 * 2**20))
        request.send_header("ETag", '"9b2cf5"')
        request.send_header("Last-Modified", "Mon, 30 Nov 2026 18:30:37 GMT")
        request.end_headers()

    with listening(handle) as port, pytest.raises(ObjectTooLarge, match="209715200 bytes, at most 100"):
        read_from(port)


def test_an_object_whose_bytes_break_off_is_a_fault() -> None:
    def handle(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Length", "50")
        request.send_header("ETag", '"9b2cf5"')
        request.send_header("Last-Modified", "Mon, 30 Nov 2026 18:30:37 GMT")
        request.end_headers()
        request.wfile.write(b"half")

    with listening(handle) as port, pytest.raises(StoreFault):
        read_from(port)
