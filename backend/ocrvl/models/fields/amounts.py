"""Printed amounts to exact numbers, or to none where they can mean several.

`1.234` is a thousand and more in one country and less than two in another. What else is printed on the receipt decides:
an amount with two decimals shows which sign stands before decimals.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Final

_SIGN: Final = r"[€£$¥₹₩₺₽₫₪฿]|[A-Z]{1,2}\$|[A-Z]{3}\b|(?:[Kk]r|S?Fr|Rs|zł)\b\.?|(?<![A-Za-z])[A-Z]{3}(?=[0-9])"
_TIMES: Final = "[xX*\u00d7]"
_BEFORE: Final = re.compile(rf"(?:{_SIGN}|{_TIMES})\s*")
_AFTER: Final = re.compile(rf"\s*(?:{_SIGN}|{_TIMES}|kg|g|lbs?|oz|[cm]?l|pcs?|Stk|St|pk|Uds|[A-Z]{{3}})$")
"""What may stand beside a number: the sign or code of a currency, a unit, a mark of multiplication.

Not any letter: an O for a zero would be lost.
"""

_MINUS: Final = "-\u2212\u2013"
_AS_PLAIN: Final = str.maketrans({"\u00a0": " ", "\u202f": " ", "\u2019": "'"})
_NUMBER: Final = re.compile(r"[0-9]+(?:[.,' ][0-9]+)*")
_GROUPED: Final = {
    mark: re.compile(rf"[1-9][0-9]{{0,2}}(?:{re.escape(mark)}[0-9]{{3}})+") for mark in (".", ",", "'", " ")
}
_PAIR: Final = re.compile(r"[.,][0-9]{1,2}")
_DECIMAL_MARKS: Final = frozenset(".,")


def find_decimal_mark(texts: Iterable[str]) -> str | None:
    """The sign before the decimals of these amounts; None where they do not tell or do not agree.

    >>> find_decimal_mark(["1.234", "9,90"])
    ','
    """
    marks = {mark for text in texts if (mark := _own_mark(text))}
    return marks.pop() if len(marks) == 1 else None


def parse_amount(text: str, decimal_mark: str | None = None) -> Decimal | None:
    """The number that a text means, None where it means several or none.

    >>> parse_amount("-1.234,50 €"), parse_amount("1.234"), parse_amount("1.234", ",")
    (Decimal('-1234.50'), None, Decimal('1234'))
    """
    number, is_negative = _strip(text)
    if not _NUMBER.fullmatch(number):
        return None
    plain = _without_groups(number, decimal_mark)
    if plain is None:
        return None
    return Decimal(f"-{plain}") if is_negative else Decimal(plain)


def _strip(text: str) -> tuple[str, bool]:
    """The digits and marks of a text, and whether it is below zero: `-1`, `1-` or `(1)`."""
    number = " ".join(text.translate(_AS_PLAIN).split())
    is_negative = number.startswith("(") and number.endswith(")")
    number = number.strip("()")
    for _ in range(3):
        for sign in _MINUS:
            is_negative |= number.startswith(sign) or number.endswith(sign)
            number = number.strip(sign)
        number = number.strip()
        if found := _BEFORE.match(number):
            number = number[found.end() :]
        number = _AFTER.sub("", number)
    return number.strip(), is_negative


def _without_groups(number: str, decimal_mark: str | None) -> str | None:
    """The number with a point before its decimals and nothing between thousands."""
    marks = [sign for sign in number if not sign.isdigit()]
    if not marks:
        return number
    last, others = marks[-1], set(marks[:-1])
    whole, _, rest = number.rpartition(last)
    if others - {last}:
        # two kinds: the last one stands before the decimals, the other between thousands
        group = next(iter(others - {last}))
        if last not in _DECIMAL_MARKS or marks.count(last) > 1 or not _is_grouped(whole, group):
            return None
        return f"{whole.replace(group, '')}.{rest}"
    if last not in _DECIMAL_MARKS or len(marks) > 1:
        return number.replace(last, "") if _is_grouped(number, last) else None
    if not _is_grouped(number, last):
        return f"{whole}.{rest}"
    if decimal_mark is None:
        return None
    return f"{whole}.{rest}" if last == decimal_mark else whole + rest


def _is_grouped(number: str, mark: str) -> bool:
    return mark in _GROUPED and _GROUPED[mark].fullmatch(number) is not None


def _own_mark(text: str) -> str | None:
    """The sign before the decimals, where the text alone tells it."""
    number, _ = _strip(text)
    if not _NUMBER.fullmatch(number):
        return None
    if found := re.search(rf"(?:{_PAIR.pattern})$", number):
        return found[0][0]
    return None
