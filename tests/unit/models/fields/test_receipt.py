"""From labels of words to the fields of a receipt: what belongs together, what it is worth, and whether it adds up."""

from __future__ import annotations

from typing import Any

import pytest
from jsonschema import Draft202012Validator

from ocrvl.models.fields.groups import Judged, group_rows
from ocrvl.models.fields.labels import Label
from ocrvl.models.fields.receipt import ReceiptFields
from ocrvl.models.fields.rows import arrange
from ocrvl.models.words import Word, split_line
from ocrvl.schemas import RECEIPT, read_schema

SIZE = (400, 600)
NAMES = {
    "o": Label.OTHER,
    "co": Label.COMPANY,
    "ad": Label.ADDRESS,
    "da": Label.DATE,
    "cu": Label.CURRENCY,
    "pa": Label.PAYMENT,
    "su": Label.SUBTOTAL,
    "ta": Label.TAX,
    "to": Label.TOTAL,
    "n": Label.ITEM_NAME,
    "q": Label.ITEM_QUANTITY,
    "p": Label.ITEM_PRICE,
}


def read(text: str, order: Any = None, confidences: dict[str, float] | None = None) -> ReceiptFields:
    """A receipt written with `word/label`: a line a row, lines of a row apart by `|`."""
    words: list[Word] = []
    judged: list[Judged] = []
    number = 0
    for row, line in enumerate(text.strip().splitlines()):
        for column, part in enumerate(line.split("|")):
            pairs = [token.rsplit("/", 1) for token in part.split()]
            plain = " ".join(word for word, _ in pairs)
            left = 10.0 + 200 * column
            words += split_line(plain, (left, 10.0 + 20 * row, left + 8 * len(plain), 25.0 + 20 * row), number)
            judged += [Judged(NAMES[label], (confidences or {}).get(word, 0.9)) for word, label in pairs]
            number += 1
    return ReceiptFields(group_rows(arrange(words), words, judged), order)


def values(fields: ReceiptFields) -> dict[str, Any]:
    return {name: field and field["value"] for name, field in fields.as_json(SIZE)["fields"].items() if name != "items"}


def items(fields: ReceiptFields) -> list[tuple[str | None, ...]]:
    found = fields.as_json(SIZE)["fields"]["items"]
    return [tuple(item[part] and item[part]["value"] for part in ("name", "quantity", "price")) for item in found]


WHOLE = """
Corner/co Market/co
12/ad High/ad Street/ad,
London/ad N1/ad
Date/o 30.11.2026/da 14:32/o
2/q x/o Green/n tea/n | 5.00/p
Bread/n | 2.50/p
Subtotal/o | 7.50/su
VAT/o 20%/o | 1.50/ta
TOTAL/o EUR/cu | 9.00/to
VISA/pa | 9.00/o
""".replace("/ad,", ",/ad")


def test_a_receipt_is_answered_as_the_schema_says() -> None:
    answer = {"schema_version": "1.0", "width": 400, "height": 600, **read(WHOLE).as_json(SIZE), "warnings": []}
    Draft202012Validator(read_schema(RECEIPT)).validate(answer)
    assert values(read(WHOLE)) == {
        "company": "Corner Market",
        "address": "12 High Street, London N1",
        "date": "2026-11-30",
        "currency": "EUR",
        "payment": "card",
        "subtotal": "7.50",
        "tax": "1.50",
        "total": "9.00",
    }
    assert items(read(WHOLE)) == [("Green tea", "2", "5.00"), ("Bread", None, "2.50")]
    assert answer["fields"]["address"]["text"] == "12 High Street,\nLondon N1"


def test_nothing_found_is_a_receipt_of_nulls() -> None:
    answer = read("just/o words/o").as_json(SIZE)
    assert set(answer["fields"].values() if False else map(str, answer["fields"].values())) == {"None", "[]"}
    assert answer["checks"] == {"sum": "unknown"}


def test_a_word_taken_for_something_else_does_not_break_a_name() -> None:
    assert items(read("Fish/n and/o chips/n | 9.00/p")) == [("Fish chips", None, "9.00")]


def test_a_box_is_around_all_words_of_a_field_and_within_the_image() -> None:
    address = read(WHOLE).as_json((150, 600))["fields"]["address"]
    assert address["box"] == [10.0, 30.0, 130.0, 65.0]
    assert read("Total/o | 9.00/to").as_json((215, 12))["fields"]["total"]["box"] == [210.0, 10.0, 215.0, 12.0]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Tea/n\n2/q x/o 2.50/o | 5.00/p", [("Tea", "2", "5.00")]),
        ("2/q x/o 2.50/o\nTea/n | 5.00/p", [("Tea", "2", "5.00")]),
        ("Tea/n | 1.00/p\n3/q x/o 2.00/o\nJam/n | 6.00/p", [("Tea", None, "1.00"), ("Jam", "3", "6.00")]),
        ("Organic/n\nmilk/n | 2.00/p", [("Organic milk", None, "2.00")]),
        ("Tea/n | 2x/q | 5.00/p", [("Tea", "2", "5.00")]),
        ("Tea/n", [("Tea", None, None)]),
        ("Tea/n | soon/p", [("Tea", None, None)]),
        ("5.00/p\n2/q", []),
    ],
)
def test_names_quantities_and_prices_of_an_item_are_put_together(text: str, found: list[tuple[str, ...]]) -> None:
    assert items(read(text)) == found


def test_several_tax_lines_are_added_up_unless_one_is_not_clear() -> None:
    assert values(read("VAT/o | 1.50/ta\nVAT/o | 0.25/ta"))["tax"] == "1.75"
    assert values(read("VAT/o | 1.50/ta\nVAT/o | O.25/ta"))["tax"] is None


def test_of_two_totals_the_surer_one_counts() -> None:
    assert values(read("A/o | 1.00/to\nB/o | 2.00/to", confidences={"1.00": 0.6}))["total"] == "2.00"
    assert values(read("A/o | 1.00/to\nB/o | 2.00/to"))["total"] == "1.00"


def test_of_two_names_apart_the_longer_and_surer_one_counts() -> None:
    text = "Blue/co Fox/co\nTel/o\nTel/o\nTel/o\nThanks/co"
    assert values(read(text))["company"] == "Blue Fox"


@pytest.mark.parametrize(
    ("rows", "value"),
    [
        ("T/o USD/cu | 9.00/to", "2026-03-04"),
        ("T/o | £9.00/to", "2026-04-03"),
        ("T/o | $9.00/to", None),
        ("T/o | 9.00/to", None),
    ],
)
def test_the_currency_says_how_a_date_is_read(rows: str, value: str | None) -> None:
    assert values(read(f"03/04/2026/da\n{rows}"))["date"] == value
    assert values(read("03/04/2026/da", "dmy"))["date"] == "2026-04-03"


def test_a_sign_at_an_amount_is_the_currency_where_no_word_is() -> None:
    fields = read("T/o | £9.00/to").as_json(SIZE)["fields"]
    assert (fields["currency"]["text"], fields["currency"]["value"]) == ("£", "GBP")
    assert fields["currency"]["box"] == fields["total"]["box"]
    assert values(read("T/o | $9.00/to"))["currency"] is None
    assert read("T/o | $9.00/to").as_json(SIZE)["fields"]["currency"]["text"] == "$"


def test_amounts_of_three_digits_are_read_as_the_others_of_the_receipt() -> None:
    assert values(read("Tea/n | 1,50/p\nT/o | 1.234/to"))["total"] == "1234"
    assert values(read("T/o | 1.234/to"))["total"] is None


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("A/n | 2.00/p\nB/n | 3.00/p\nT/o | 5.00/to", "ok"),
        ("A/n | 2.00/p\nV/o | 0.40/ta\nT/o | 2.40/to", "ok"),
        ("A/n | 2.00/p\nV/o | 0.40/ta\nT/o | 2.00/to", "ok"),
        ("A/n | 2.00/p\nOff/n | -0.50/p\nT/o | 1.50/to", "ok"),
        ("A/n | 2.00/p\nT/o | 2.01/to", "mismatch"),
        ("A/n | 2.00/p\nV/o | 0.40/ta\nT/o | 2.50/to", "mismatch"),
        ("A/n | 2.00/p", "unknown"),
        ("T/o | 5.00/to", "unknown"),
        ("A/n\nB/n | ?/p\nT/o | 5.00/to", "unknown"),
        ("A/n | 2.00/p\nV/o | ?/ta\nT/o | 2.00/to", "unknown"),
    ],
)
def test_a_sum_is_checked_and_never_corrected(text: str, result: str) -> None:
    assert read(text).as_json(SIZE)["checks"] == {"sum": result}


def test_rows_are_the_same_whatever_the_order_of_words_and_lines() -> None:
    words = [
        *split_line("9.00", (300, 52, 340, 68), 7),
        *split_line("TOTAL EUR", (10, 50, 100, 66), 3),
        *split_line("Shop", (150, 5, 200, 20), 9),
    ]
    texts = [[[words[index].text for index in line.words] for line in row] for row in arrange(words)]
    assert texts == [[["Shop"]], [["TOTAL", "EUR"], ["9.00"]]]


def test_a_line_over_another_of_its_row_is_a_row_of_its_own() -> None:
    words = [*split_line("above", (10, 10, 60, 26), 0), *split_line("below", (12, 17, 62, 33), 1)]
    assert len(arrange(words)) == 2


def test_a_line_that_was_found_as_two_is_read_from_the_left_as_one_text() -> None:
    # the right one's box lies a little higher, and both reach over the gap between them
    parts = [
        ("Custer", (100, 12, 170, 34), Label.COMPANY),
        ("& Sons", (164, 10, 240, 32), Label.COMPANY),
        ("Tea", (10, 60, 50, 80), Label.ITEM_NAME),
        ("-€1", (200, 60, 232, 80), Label.ITEM_PRICE),
        ("065,98", (236, 60, 300, 80), Label.ITEM_PRICE),
    ]
    words = [word for line, (text, box, _) in enumerate(parts) for word in split_line(text, box, line)]
    judged = [Judged(label, 0.9) for text, _, label in parts for _ in text.split()]
    found = ReceiptFields(group_rows(arrange(words), words, judged))
    assert values(found)["company"] == "Custer & Sons"
    assert items(found) == [("Tea", None, "-1065.98")]
    assert found.as_json(SIZE)["fields"]["items"][0]["price"]["box"] == [200, 60, 300, 80]
