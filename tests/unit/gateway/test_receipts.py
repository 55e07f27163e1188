"""`/receipts`: images as base64 or by address, fields as they are published, and what is refused."""

from __future__ import annotations

import base64
from typing import Any

import jsonschema
import pytest

from ocrvl.models.receipt.options import ReceiptOptions
from ocrvl_client import InvalidRequest, OcrvlError, RequestTimeout, ServerUnavailable
from ocrvl_gateway.receipts.schemas import ReceiptRequest, receipt_schema
from tests.support.gateways import DATA_URL, IMAGE, GatewayClient, ScriptedReader, make_app
from tests.support.receipt_answers import answer


@pytest.fixture
def reader() -> ScriptedReader:
    return ScriptedReader()


@pytest.fixture
def client(reader: ScriptedReader) -> GatewayClient:
    return GatewayClient(make_app(reader))


@pytest.mark.parametrize("image", [DATA_URL, base64.b64encode(IMAGE).decode()])
def test_a_receipt_is_answered_with_its_fields(client: GatewayClient, reader: ScriptedReader, image: str) -> None:
    answered = client.post("/receipts", json={"image": image, "max_tokens": 40})
    assert answered.status_code == 200
    assert answered.json() == answer()
    jsonschema.validate(answered.json(), receipt_schema())
    expected = {"timeout": 300.0, "max_tokens": 40, "stop_repetition": True, "visualize": False}
    assert reader.requests == [(IMAGE, expected)]


def test_the_drawing_is_base64(client: GatewayClient) -> None:
    answered = client.post("/receipts", json={"image": DATA_URL, "visualize": True}).json()
    assert base64.b64decode(answered["drawing"]) == b"\xff\xd8drawing"
    jsonschema.validate(answered, receipt_schema())


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "image: Field required"),
        ({"image": "no base64!"}, "image: not base64"),
        ({"image": "http://files.example.com/a.png"}, "image: URLs are not fetched here"),
        ({"image": DATA_URL, "task": "ocr"}, "task: not known here"),
        ({"image": DATA_URL, "max_tokens": "9"}, "max_tokens"),
        ({"image": DATA_URL, "min_pixels": 1}, "min_pixels"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(
    client: GatewayClient, reader: ScriptedReader, body: dict[str, Any], words: str
) -> None:
    answered = client.post("/receipts", json=body)
    assert answered.status_code == 400
    assert words in answered.json()["error"]["message"]
    assert reader.requests == []


@pytest.mark.parametrize(
    ("error", "status"),
    [(InvalidRequest("it is no image"), 400), (ServerUnavailable("full"), 503), (RequestTimeout("late"), 504)],
)
def test_what_the_server_says_reaches_the_caller(
    client: GatewayClient, reader: ScriptedReader, error: OcrvlError, status: int
) -> None:
    reader.error = error
    answered = client.post("/receipts", json={"image": DATA_URL})
    assert answered.status_code == status
    assert answered.json()["error"]["message"] == str(error)


def test_a_key_is_required_where_there_are_keys(reader: ScriptedReader) -> None:
    client = GatewayClient(make_app(reader, api_keys=["a-key-of-some-length"]))
    assert client.post("/receipts", json={"image": DATA_URL}).status_code == 401


def test_options_have_the_limits_and_meanings_of_the_server_s() -> None:
    for name, field in ReceiptRequest.model_fields.items():
        if name != "image":
            assert name in ReceiptOptions.model_fields
            own = ReceiptOptions.model_fields[name].description or ""
            assert (field.description or "").startswith(own.split(",")[0])
