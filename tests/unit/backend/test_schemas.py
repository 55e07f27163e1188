"""The published schema of receipts: valid itself, and strict."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from ocrvl.schemas import RECEIPT, read_schema

SCHEMA = read_schema(RECEIPT)
FIELD = {"text": "TOTAL 2.50", "value": "2.50", "confidence": 0.5, "box": [1, 2, 30.5, 4]}
NAMES = ("company", "address", "date", "currency", "payment", "subtotal", "tax", "total")
ANSWER: dict[str, Any] = {
    "schema_version": "1.0",
    "width": 40,
    "height": 10,
    "fields": {
        **dict.fromkeys(NAMES),
        "total": FIELD,
        "date": {**FIELD, "value": "2026-11-30"},
        "currency": {**FIELD, "value": None},
        "payment": {**FIELD, "value": "card"},
        "items": [{"name": FIELD, "quantity": None, "price": FIELD}],
    },
    "checks": {"sum": "ok"},
    "warnings": ["no pixels"],
}


def problems(answer: dict[str, Any]) -> list[str]:
    return [error.json_path for error in Draft202012Validator(SCHEMA).iter_errors(answer)]


def test_the_schema_is_one_and_describes_every_key() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    keys = [*SCHEMA["properties"].values(), *SCHEMA["properties"]["fields"]["properties"].values()]
    assert all(key.get("description") or "$ref" in key for key in keys)


def test_an_answer_with_and_without_lines_is_valid() -> None:
    assert problems(ANSWER) == []
    assert problems(ANSWER | {"lines": [{"text": "", "box": [0, 0, 1, 1], "finish_reason": "stop"}]}) == []


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (lambda answer: answer.update(more=1), "$"),
        (lambda answer: answer.update(schema_version="1.1"), "$.schema_version"),
        (lambda answer: answer["fields"].pop("total"), "$.fields"),
        (lambda answer: answer["fields"].update(tip=None), "$.fields"),
        (lambda answer: answer["fields"].update(total=FIELD | {"value": 2.5}), "$.fields.total"),
        (lambda answer: answer["fields"].update(total=FIELD | {"value": "2,50"}), "$.fields.total"),
        (lambda answer: answer["fields"].update(total=FIELD | {"confidence": 1.5}), "$.fields.total"),
        (lambda answer: answer["fields"].update(total=FIELD | {"box": [0, 0, 1]}), "$.fields.total"),
        (lambda answer: answer["fields"].update(total=FIELD | {"text": ""}), "$.fields.total"),
        (lambda answer: answer["fields"].update(date=FIELD | {"value": "30.11.2026"}), "$.fields.date"),
        (lambda answer: answer["fields"].update(payment=FIELD | {"value": "barter"}), "$.fields.payment"),
        (lambda answer: answer["fields"]["items"][0].pop("quantity"), "$.fields.items[0]"),
        (lambda answer: answer["checks"].update(sum="wrong"), "$.checks.sum"),
    ],
)
def test_what_the_schema_does_not_say_is_refused(change: Callable[[dict[str, Any]], Any], where: str) -> None:
    answer = copy.deepcopy(ANSWER)
    change(answer)
    assert problems(answer) == [where]
