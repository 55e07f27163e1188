"""The model `fields`: what a batch of requests is answered, each alone, and its settings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonschema import Draft202012Validator

from ocrvl.errors import InvalidArgument
from ocrvl.messages import encode_texts
from ocrvl.models.fields import model as module
from ocrvl.models.fields.classifier import Classifier, WordsOnImage
from ocrvl.models.fields.model import FieldsModel, judge_each
from ocrvl.models.words import split_line
from ocrvl.schemas import RECEIPT, read_schema
from ocrvl.settings import FieldsSettings, parse_parameters
from ocrvl.triton.context import ModelContext
from ocrvl.wire import Tensor
from tests.support.doubles import MemoryTensors

LINES = (
    ("Corner Market", 150, 10),
    ("12 High Street", 145, 35),
    ("London N1 9GU", 148, 60),
    ("Date: 30.11.2026 14:32", 20, 100),
    ("2 x Green tea", 20, 140),
    ("5.00", 340, 140),
    ("Brown bread", 20, 165),
    ("2.50", 340, 165),
    ("TOTAL", 20, 215),
    ("£7.50", 332, 215),
    ("VISA", 20, 240),
    ("£7.50", 332, 240),
    ("Thank you!", 160, 290),
)


def tensors(*, with_pixels: bool = True, **changes: Any) -> dict[Tensor, Any]:
    words = [
        word
        for number, (text, x, y) in enumerate(LINES)
        for word in split_line(text, (x, y, x + 10 * len(text), y + 18), number)
    ]
    image = {Tensor.PIXELS: np.full((1, 330, 400, 3), 255, np.uint8)} if with_pixels else {}
    return {
        Tensor.WORDS: encode_texts([word.text for word in words])[None],
        Tensor.BOX: np.array([[word.box for word in words]], np.float32),
        Tensor.LINE: np.array([[word.line for word in words]], np.int32),
        Tensor.SIZE: np.array([[400, 330]], np.int32),
        **image,
        **{Tensor(name): value for name, value in changes.items()},
    }


@pytest.fixture(scope="module")
def model() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        # it would end the process of the tests with the one that started them
        patch.setattr(module, "end_with_server", lambda: None)
        started = FieldsModel(context(), lambda *_: Family(), Silent())
        yield started
        started.stop()


class Family:
    """Metrics that nobody reads."""

    def Metric(self, labels: Any = None, buckets: Any = None) -> Any:  # noqa: N802 - Triton's name
        return self

    def __getattr__(self, name: str) -> Any:
        return lambda *_: None


class Silent:
    def verbose(self, line: str) -> None: ...

    def info(self, line: str) -> None: ...

    def warning(self, line: str) -> None: ...


def context(**parameters: str) -> ModelContext:
    return ModelContext("fields", Path("/models/fields"), "1", parameters, "fields_0", "CPU", 0, 1, 8)


def answers(model: FieldsModel, *requests: dict[Tensor, Any]) -> list[Any]:
    found = model.find_fields([MemoryTensors(request) for request in requests])
    return [one if isinstance(one, Exception) else json.loads(one[Tensor.JSON].item()) for one in found]


def test_a_receipt_s_fields_are_answered_by_the_schema(model: FieldsModel) -> None:
    (answer,) = answers(model, tensors())
    Draft202012Validator(read_schema(RECEIPT)).validate(answer)
    fields = answer["fields"]
    assert (answer["width"], answer["height"], answer["warnings"]) == (400, 330, [])
    assert {name: fields[name]["value"] for name in ("date", "total", "currency", "payment")} == {
        "date": "2026-11-30",
        "total": "7.50",
        "currency": "GBP",
        "payment": "card",
    }
    assert [item["name"]["value"] for item in fields["items"]] == ["Green tea", "Brown bread"]
    assert answer["checks"] == {"sum": "ok"}


def test_it_is_said_where_the_image_was_not_given(model: FieldsModel) -> None:
    (answer,) = answers(model, tensors(with_pixels=False))
    assert answer["warnings"] == ["the image was not given (pixels): fields were found from words and boxes alone"]
    assert answer["fields"]["total"]["value"] == "7.50"


def test_no_words_are_no_fields_and_that_is_said(model: FieldsModel) -> None:
    empty = encode_texts([])[None]
    (answer,) = answers(
        model, tensors(words=empty, box=np.zeros((1, 0, 4), np.float32), line=np.zeros((1, 0), np.int32))
    )
    Draft202012Validator(read_schema(RECEIPT)).validate(answer)
    assert answer["fields"]["total"] is None
    assert answer["warnings"] == ["there are no words to find fields among"]


def test_of_a_batch_only_what_is_wrong_fails(model: FieldsModel) -> None:
    good, bad, other = answers(model, tensors(), tensors(line=np.zeros((1, 2), np.int32)), tensors(with_pixels=False))
    assert isinstance(bad, InvalidArgument)
    assert good == answers(model, tensors())[0]
    assert other["fields"]["total"] == answers(model, tensors(with_pixels=False))[0]["fields"]["total"]


def test_a_receipt_that_the_network_fails_on_fails_alone() -> None:
    class Picky(Classifier):
        def judge(self, receipts: Any) -> Any:
            if any(one.size == (13, 13) for one in receipts):
                raise RuntimeError("thirteen")
            return [[] for _ in receipts]

    classifier = Picky(lambda _: np.zeros((1, 1, 1), np.float32), None, None, (), 0, 0)  # type: ignore[arg-type]
    receipts = [WordsOnImage([], (side, side), None) for side in (12, 13, 14)]
    first, second, third = judge_each(classifier, receipts)
    assert (first, third) == ([], [])
    assert isinstance(second, RuntimeError)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"checkpoint": "nowhere"}, r"config.pbtxt: parameters: checkpoint: no checkpoint at /models/fields/nowhere"),
        ({"labels": "{}x"}, "labels: .*expected a JSON object of labels"),
        ({"labels": '{"a": 1}'}, "labels: .*expected a JSON object of labels"),
        ({"labels": '{"TIP": "total"}'}, "labels: TIP: the checkpoint has no such label"),
        ({"date_order": "ymd"}, "date_order"),
        ({"max_wrds": "1"}, "unknown key 'max_wrds'"),
    ],
)
def test_a_setting_that_cannot_be_is_said_when_the_model_loads(parameters: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FieldsModel(context(**parameters), lambda *_: Family(), Silent())


def test_labels_are_a_json_object() -> None:
    settings = parse_parameters(FieldsSettings, {"labels": '{"MENU.NM": "item_name"}'}, Path("config.pbtxt"))
    assert settings.labels == {"MENU.NM": "item_name"}
