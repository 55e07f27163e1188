"""What is printed of amounts, dates, currencies and payments, and what it means; nothing where that is not clear."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocrvl.models.fields.amounts import find_decimal_mark, parse_amount
from ocrvl.models.fields.dates import Order, parse_date
from ocrvl.models.fields.kinds import find_currency, find_payment


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("12.34", "12.34"),
        ("12,34", "12.34"),
        ("£4.50", "4.50"),
        ("4,50€", "4.50"),
        ("EUR 4,50", "4.50"),
        ("4.50 USD", "4.50"),
        ("-1.00", "-1.00"),
        ("1.00-", "-1.00"),
        ("(1.00)", "-1.00"),
        ("-€2,10", "-2.10"),
        ("€-2,10", "-2.10"),
        ("1,234.56", "1234.56"),
        ("1.234,56", "1234.56"),
        ("1 234,56", "1234.56"),
        ("1\u00a0234,56", "1234.56"),
        ("1'234.50", "1234.50"),
        ("1.234.567", "1234567"),
        ("12", "12"),
        ("2x", "2"),
        ("x3", "3"),
        ("1*", "1"),
        ("0.345", "0.345"),
        ("0,345 kg", "0.345"),
        ("12.5", "12.5"),
        ("0.00", "0.00"),
        ("1234.567", "1234.567"),
    ],
)
def test_an_amount_that_can_mean_one_number_is_it(text: str, amount: str) -> None:
    assert parse_amount(text) == Decimal(amount)


@pytest.mark.parametrize("text", ["1.234", "1,234", "12,345"])
def test_three_digits_after_a_mark_are_read_as_the_other_amounts_are(text: str) -> None:
    assert parse_amount(text) is None
    mark = "." if "." in text else ","
    other = "," if mark == "." else "."
    assert parse_amount(text, other) == Decimal(text.replace(mark, ""))
    assert parse_amount(text, mark) == Decimal(text.replace(",", "."))


@pytest.mark.parametrize(
    "text", ["", "-", "free", "1.2.3", "1,23,456", "12.34.56", "1.234,56.7", "1,23.45", "O.50", "12:30", "€", "4..5"]
)
def test_what_is_no_amount_has_no_number(text: str) -> None:
    assert parse_amount(text) is None


@pytest.mark.parametrize(
    ("texts", "mark"), [(["1.234", "9,90"], ","), (["1.50", "2,50"], None), (["1,234", "12"], None), (["$2.00"], ".")]
)
def test_the_sign_before_decimals_is_that_on_which_all_agree(texts: list[str], mark: str | None) -> None:
    assert find_decimal_mark(texts) == mark


@given(st.decimals(-(10**7), 10**7, places=2), st.sampled_from([(".", ","), (",", "."), (",", " "), (".", "'")]))
def test_what_a_country_writes_is_read_again(amount: Decimal, marks: tuple[str, str]) -> None:
    decimal, thousands = marks
    text = f"{amount:,.2f}".replace(",", "t").replace(".", decimal).replace("t", thousands)
    assert parse_amount(text) == amount


@given(st.text(max_size=20))
def test_any_text_is_an_amount_or_none(text: str) -> None:
    amount = parse_amount(text)
    assert amount is None or amount.is_finite()


@pytest.mark.parametrize(
    ("text", "order", "day"),
    [
        ("2026-11-30", None, date(2026, 11, 30)),
        ("2026/11/30", None, date(2026, 11, 30)),
        ("30.11.2026", None, date(2026, 11, 30)),
        ("03.04.26", "mdy", date(2026, 4, 3)),
        ("30/11/2026", None, date(2026, 11, 30)),
        ("11/30/2026", None, date(2026, 11, 30)),
        ("03/03/2026", None, date(2026, 3, 3)),
        ("03/04/2026", None, None),
        ("03/04/2026", "dmy", date(2026, 4, 3)),
        ("03/04/2026", "mdy", date(2026, 3, 4)),
        ("13/04/2026", "mdy", None),
        ("3-4-26", "dmy", date(2026, 4, 3)),
        ("4 Mar 2026", None, date(2026, 3, 4)),
        ("04-Mar-26", None, date(2026, 3, 4)),
        ("4. März 2026", None, date(2026, 3, 4)),
        ("15 février 2026", None, date(2026, 2, 15)),
        ("15 juil 2026", None, date(2026, 7, 15)),
        ("15 juin 2026", None, date(2026, 6, 15)),
        ("15 giugno 2026", None, date(2026, 6, 15)),
        ("1 de enero de 2026", None, date(2026, 1, 1)),
        ("15 maart 2026", None, date(2026, 3, 15)),
        ("March 4, 2026", None, date(2026, 3, 4)),
        ("Mar 04 2026", None, date(2026, 3, 4)),
        ("Dec 31st, 2026", None, date(2026, 12, 31)),
        ("31.02.2026", None, None),
        ("2026-13-01", None, None),
        ("14:32", None, None),
        ("yesterday", None, None),
        ("", None, None),
    ],
)
def test_a_date_that_can_mean_one_day_is_it(text: str, order: Order | None, day: date | None) -> None:
    assert parse_date(text, order) == day


@given(st.text(max_size=20), st.sampled_from([None, "dmy", "mdy"]))
def test_any_text_is_a_date_or_none(text: str, order: Order | None) -> None:
    parse_date(text, order)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("EUR", ("EUR", "EUR")),
        ("€", ("€", "EUR")),
        ("TOTALE EURO", ("EURO", "EUR")),
        ("£12.50", ("£", "GBP")),
        ("$", ("$", None)),
        ("US$ 5", ("US$", "USD")),
        ("CHF 3.20", ("CHF", "CHF")),
        ("kr", ("kr", None)),
        ("EUROPA", None),
        ("12.50", None),
    ],
)
def test_a_currency_has_a_code_where_its_sign_is_of_one_alone(text: str, found: tuple[str, str | None] | None) -> None:
    assert find_currency(text) == found


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Cash", "cash"),
        ("BAR", "cash"),
        ("Espèces", "cash"),
        ("CONTANT", "cash"),
        ("VISA", "card"),
        ("V PAY", "card"),
        ("EC-Karte", "card"),
        ("CB", "card"),
        ("Tarjeta bancaria", "card"),
        ("Pagamento elettronico", "card"),
        ("Apple Pay", "mobile"),
        ("Gift card", "voucher"),
        ("Überweisung", "transfer"),
        ("Shells", None),
        ("Barbara", None),
    ],
)
def test_a_payment_is_of_the_kind_that_its_words_say(text: str, kind: str | None) -> None:
    assert find_payment(text) == kind
