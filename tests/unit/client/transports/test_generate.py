"""`ocrvl_client._transports.generate`: HTTP's streams of events."""

from __future__ import annotations

import base64
import json

import numpy as np
import pytest

from ocrvl.wire import Model, Task, Tensor
from ocrvl_client import InvalidRequest, ServerUnavailable
from ocrvl_client._errors import OcrvlError
from ocrvl_client._messages import encode_stream
from ocrvl_client._transports.generate import decode_event, decode_refusal, encode_body


def test_files_go_as_base64_and_the_rest_as_text() -> None:
    request = encode_stream(b"\xff\xd8 image", Task.TABLE, {"raw": True})
    body = json.loads(encode_body(request))
    assert base64.b64decode(body["image"]) == b"\xff\xd8 image"
    assert body["task"] == "table"
    assert json.loads(body["options"])["raw"] is True
    assert request.model is Model.STREAM


def test_an_event_is_tensors() -> None:
    found = decode_event(b'data: {"model_name":"ocr_stream","model_version":"1","index":0,"text":"\xc2\xa3 5"}\n')
    assert found is not None
    assert found[Tensor.TEXT].tolist() == ["£ 5".encode()]
    np.testing.assert_array_equal(found[Tensor.INDEX], np.array([0], np.int32))
    assert decode_event(b"\r\n") is None


def test_an_event_with_an_error_raises_it() -> None:
    with pytest.raises(InvalidRequest, match="bad"):
        decode_event(b'data: {"error":"[INVALID_ARG] image 0: bad"}')


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (400, b'{"error":"[UNAVAILABLE] full"}', ServerUnavailable),
        (503, b"", ServerUnavailable),
        (404, b"<html>nginx</html>", InvalidRequest),
    ],
)
def test_an_answer_that_is_no_stream_is_an_error(status: int, body: bytes, expected: type[OcrvlError]) -> None:
    assert type(decode_refusal(status, body)) is expected
