"""Printed dates to days, or to none where they can mean several."""

from __future__ import annotations

import re
import unicodedata
from datetime import date
from typing import Final, Literal

Order = Literal["dmy", "mdy"]

ORDERS: Final[dict[str, Order]] = {"EUR": "dmy", "GBP": "dmy", "CHF": "dmy", "USD": "mdy"}
"""Which number comes first where a currency is used in countries that agree on it."""

_MONTHS: Final = (
    ("jan", "ene", "gen"),
    ("feb", "fev", "fevr"),
    ("mar", "mrt", "maer", "maa", "mars", "marz", "maart"),
    ("apr", "avr", "abr"),
    ("may", "mai", "mei", "mag", "mayo"),
    ("jun", "juin", "giu"),
    ("jul", "juil", "lug"),
    ("aug", "aou", "ago"),
    ("sep", "set", "sept"),
    ("oct", "okt", "ott", "out"),
    ("nov",),
    ("dec", "dez", "dic", "des"),
)
"""Beginnings of the months' names in English, German, French, Spanish, Italian and Dutch, without accents."""

_ISO: Final = re.compile(r"([0-9]{4})[-/.]([0-9]{1,2})[-/.]([0-9]{1,2})(?:[T ].*)?")
_NUMBERS: Final = re.compile(r"([0-9]{1,2})([-/.])\s?([0-9]{1,2})\2\s?([0-9]{4}|'?[0-9]{2})")
_DAY_FIRST: Final = re.compile(
    r"([0-9]{1,2})(?:st|nd|rd|th|er|\.|º)?[-/ ]*(?:de )?([a-z]+)\.?[-/, ]*(?:de )?([0-9]{4}|'?[0-9]{2})"
)
_MONTH_FIRST: Final = re.compile(r"([a-z]+)\.?[-/ ]*([0-9]{1,2})(?:st|nd|rd|th)?[-/, ]+([0-9]{4}|'?[0-9]{2})")


def parse_date(text: str, order: Order | None = None) -> date | None:
    """The day that a text means, None where it means several or none.

    Numbers with points have the day first. With `/` or `-` either may be, unless one is above 12 or `order` says.

    >>> parse_date("Mar 4, 2026"), parse_date("03/04/2026"), parse_date("03/04/2026", "dmy")
    (datetime.date(2026, 3, 4), None, datetime.date(2026, 4, 3))
    """
    plain = _fold(text)
    if found := _ISO.fullmatch(plain):
        return _day(found[1], found[2], found[3])
    if found := _NUMBERS.fullmatch(plain):
        return _of_numbers(found[1], found[3], found[4], "dmy" if found[2] == "." else order)
    if found := _DAY_FIRST.fullmatch(plain):
        return _of_words(found[1], found[2], found[3])
    if found := _MONTH_FIRST.fullmatch(plain):
        return _of_words(found[2], found[1], found[3])
    return None


def _fold(text: str) -> str:
    """Small letters without accents, single spaces, no punctuation around."""
    letters = unicodedata.normalize("NFKD", text.casefold())
    return " ".join("".join(sign for sign in letters if not unicodedata.combining(sign)).split()).strip(" ,;:")


def _of_numbers(first: str, second: str, year: str, order: Order | None) -> date | None:
    days = {_day(year, second, first)} if order != "mdy" else set()
    days |= {_day(year, first, second)} if order != "dmy" else set()
    days.discard(None)
    return days.pop() if len(days) == 1 else None


def _of_words(day: str, name: str, year: str) -> date | None:
    months = [number for number, names in enumerate(_MONTHS, 1) if any(map(name.startswith, names))]
    return _day(year, str(months[0]), day) if len(months) == 1 else None


def _day(year: str, month: str, day: str) -> date | None:
    """Years of two digits are of this century."""
    year = year.lstrip("'")
    try:
        return date(int(year) + (2000 if len(year) == 2 else 0), int(month), int(day))
    except ValueError:
        return None
