"""`ocrvl_client`'s receipts: requests built, answers typed, and many at once."""

from __future__ import annotations

import asyncio
import json
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from ocrvl.wire import FinishReason, Model, Tensor
from ocrvl_client import (
    AsyncClient,
    Client,
    InvalidRequest,
    ReceiptField,
    ReceiptLine,
    ReceiptOutcome,
    RequestTimeout,
    ServerError,
)
from ocrvl_client._messages import Array, Request
from ocrvl_client._receipts import decode_receipt
from tests.support.receipt_answers import answer, tensors
from tests.support.transports import AsyncRecordingTransport, RecordingTransport, options_of, texts


def decoded(**changes: Any) -> Any:

    return decode_receipt({Tensor.JSON: texts(json.dumps(answer(**changes))), Tensor.IMAGE_DATA: texts("jpeg")}, 0.5)


def test_a_request_carries_the_image_and_the_options() -> None:
    transport = RecordingTransport(tensors)
    with Client(transport=transport) as client:
        receipt = client.receipt(b"file", max_tokens=40, visualize=True, headers={"traceparent": "00-a"})
    (request,) = transport.sent
    assert request.headers == {"traceparent": "00-a"}
    assert (request.model, request.inputs[Tensor.IMAGE].tolist()) == (Model.RECEIPT, [b"file"])
    assert options_of(request) == {"max_tokens": 40, "visualize": True, "cancel_token": request.token}
    assert receipt.company is not None
    assert receipt.company.value == "file"
    assert receipt.seconds > 0


def test_fields_are_typed_and_what_was_not_found_is_none() -> None:
    receipt = decoded()
    assert receipt.company == ReceiptField("Corner Café", "Corner Café", 0.97, (60, 10, 240, 40))
    assert receipt.date.value == date(2026, 11, 30)
    assert (receipt.total.value, receipt.tax.value) == (Decimal("12.40"), Decimal("1.23"))
    assert (receipt.currency.value, receipt.payment.value) == ("EUR", "card")
    assert receipt.address is receipt.subtotal is None
    first, second = receipt.items
    assert (first.name.value, first.quantity.value, first.price.value) == ("Tea", Decimal(2), Decimal("9.99"))
    assert (second.quantity, second.price.value, second.price.text) == (None, None, "?")
    assert (receipt.sum_check, receipt.warnings) == ("unknown", ("line 3: too long",))
    assert receipt.lines == (ReceiptLine("Corner Café", (60, 10, 240, 40), FinishReason.STOP),)
    assert receipt.json == answer()
    assert (receipt.drawing, receipt.seconds) == (b"jpeg", 0.5)


@pytest.mark.parametrize(
    "changes", [{"total": {}}, {"total": 7}, {"items": None}, {"date": {"text": "x", "value": "soon"}}, {"items": [{}]}]
)
def test_an_answer_of_another_form_is_told_as_such(changes: dict[str, Any]) -> None:
    with pytest.raises(ServerError, match="not one that this client knows"):
        decoded(**changes)


@pytest.mark.parametrize("shares_token", [False, True])
def test_many_receipts_come_in_order_and_one_that_fails_stops_no_other(shares_token: bool) -> None:
    def reply(request: Request) -> dict[Tensor, Array]:
        if request.inputs[Tensor.IMAGE].item() == b"3":
            raise InvalidRequest("bad")
        return tensors(request)

    images = [b"%d" % number for number in range(9)]
    options: Any = {"cancel_token": "0123456789abcdef"} if shares_token else {}
    transport = RecordingTransport(reply)
    with Client(transport=transport) as client:
        outcomes = list(client.receipts_many(images, concurrency=2, **options))
    check(outcomes, images)
    assert transport.most_in_flight <= 2

    async def read() -> list[ReceiptOutcome]:
        async with AsyncClient(transport=AsyncRecordingTransport(RecordingTransport(reply))) as client:
            return [outcome async for outcome in client.receipts_many(images, concurrency=2, **options)]

    check(asyncio.run(read()), images)


def check(outcomes: list[ReceiptOutcome], images: list[bytes]) -> None:
    assert [(outcome.index, outcome.source) for outcome in outcomes] == list(enumerate(images))
    names = [one.receipt.company.value if one.receipt and one.receipt.company else None for one in outcomes]
    assert names == ["0", "1", "2", None, "4", "5", "6", "7", "8"]
    with pytest.raises(InvalidRequest, match="bad"):
        outcomes[3].result()
    assert outcomes[4].result() is outcomes[4].receipt


def test_a_receipt_that_takes_too_long_is_cancelled() -> None:
    def late(request: Request) -> dict[Tensor, Array]:
        raise RequestTimeout("no answer")

    transport = RecordingTransport(late)
    with Client(transport=transport) as client, pytest.raises(RequestTimeout):
        client.receipt(b"file")
    assert transport.cancelled == [transport.sent[0].token]

    async def read() -> None:
        async with AsyncClient(transport=AsyncRecordingTransport(RecordingTransport(tensors))) as client:
            receipt = await client.receipt(b"file")
            assert receipt.company is not None

    asyncio.run(read())
