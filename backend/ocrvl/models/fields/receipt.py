"""Groups of words to the typed fields of a receipt, as its JSON has them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from ocrvl.models.fields.amounts import find_decimal_mark, parse_amount
from ocrvl.models.fields.dates import ORDERS, Order, parse_date
from ocrvl.models.fields.groups import Group, GroupRow, blocks, join
from ocrvl.models.fields.items import Item, find_items
from ocrvl.models.fields.kinds import find_currency, find_payment
from ocrvl.models.fields.labels import Label

_AMOUNTS: Final = (Label.TOTAL, Label.SUBTOTAL, Label.TAX, Label.ITEM_PRICE)


@dataclass(frozen=True)
class Field:
    """A field as it is answered: what was printed, what it means (None where that is not clear), and where it was."""

    group: Group
    value: str | None

    def as_json(self, size: tuple[int, int]) -> dict[str, Any]:
        """For the JSON; the box is within the image of `size`."""
        left, top, right, bottom = (
            round(min(max(float(side), 0.0), float(limit)), 2)
            for side, limit in zip(self.group.box, (*size, *size), strict=True)
        )
        return {
            "text": self.group.text,
            "value": self.value,
            "confidence": round(min(self.group.confidence, 1.0), 4),
            "box": [left, top, right, bottom],
        }


class ReceiptFields:
    """The typed fields of one receipt. `order` says which number of a date comes first, where nothing else does."""

    def __init__(self, rows: Sequence[GroupRow], order: Order | None = None) -> None:
        self._groups = [group for row in rows for group in row]
        self._mark = find_decimal_mark(group.text for group in self._groups if group.label in _AMOUNTS)
        self.items = find_items(rows)
        self.currency = self._currency()
        if self.currency is not None and self.currency.value is not None:
            order = ORDERS.get(self.currency.value, order)
        self.company = self._text(Label.COMPANY, " ")
        self.address = self._text(Label.ADDRESS, ", ")
        self.date = self._best(Label.DATE, lambda text: _iso(text, order))
        self.payment = self._best(Label.PAYMENT, find_payment)
        self.subtotal = self._best(Label.SUBTOTAL, self._amount)
        self.tax = self._tax()
        self.total = self._best(Label.TOTAL, self._amount)

    def as_json(self, size: tuple[int, int]) -> dict[str, Any]:
        """The objects `fields` and `checks` of the JSON."""

        def encode(field: Field | None) -> dict[str, Any] | None:
            return None if field is None else field.as_json(size)

        names = ("company", "address", "date", "currency", "payment", "subtotal", "tax", "total")
        items = [
            {
                "name": Field(item.name, _in_a_line(item.name.text, " ")).as_json(size),
                "quantity": encode(self._of(item.quantity)),
                "price": encode(self._of(item.price)),
            }
            for item in self.items
        ]
        fields = {name: encode(getattr(self, name)) for name in names}
        return {"fields": {**fields, "items": items}, "checks": {"sum": self.check_sum()}}

    def check_sum(self) -> str:
        """Whether the prices of all items, with the tax added or with it included, are the total."""
        prices = [self._price(item) for item in self.items]
        total, tax = _number(self.total), _number(self.tax)
        if total is None or not prices or None in prices or (self.tax is not None and tax is None):
            return "unknown"
        items = sum((price for price in prices if price is not None), Decimal(0))
        return "ok" if total in (items, items + (tax or 0)) else "mismatch"

    def _price(self, item: Item) -> Decimal | None:
        return None if item.price is None else parse_amount(item.price.text, self._mark)

    def _of(self, group: Group | None) -> Field | None:
        return None if group is None else Field(group, self._amount(group.text))

    def _amount(self, text: str) -> str | None:
        amount = parse_amount(text, self._mark)
        return None if amount is None else f"{amount:f}"

    def _all(self, label: Label) -> list[Group]:
        return [group for group in self._groups if group.label is label]

    def _best(self, label: Label, parse: Callable[[str], str | None]) -> Field | None:
        """Of several the one that the model is surest of; the first of those that it is equally sure of."""
        groups = self._all(label)
        if not groups:
            return None
        best = max(groups, key=lambda group: group.confidence)
        return Field(best, parse(best.text))

    def _text(self, label: Label, between: str) -> Field | None:
        """Of several blocks the one with most words that the model is sure of."""
        found = blocks(self._all(label))
        if not found:
            return None
        best = max(found, key=lambda block: sum(block.confidences))
        return Field(best, _in_a_line(best.text, between))

    def _tax(self) -> Field | None:
        """All tax lines together."""
        groups = self._all(Label.TAX)
        if not groups:
            return None
        amounts = [parse_amount(group.text, self._mark) for group in groups]
        known = [amount for amount in amounts if amount is not None]
        return Field(join(groups), f"{sum(known, Decimal(0)):f}" if len(known) == len(amounts) else None)

    def _currency(self) -> Field | None:
        """A currency that stands as a word; where none does, the sign at an amount."""
        if groups := self._all(Label.CURRENCY):
            best = max(groups, key=lambda group: group.confidence)
            found = find_currency(best.text)
            return Field(best, None if found is None else found[1])
        for label in _AMOUNTS:
            for group in self._all(label):
                if found := find_currency(group.text):
                    sign = Group(Label.CURRENCY, found[0], group.confidences, group.box, group.height)
                    return Field(sign, found[1])
        return None


def _iso(text: str, order: Order | None) -> str | None:
    day = parse_date(text, order)
    return None if day is None else day.isoformat()


def _in_a_line(text: str, between: str) -> str:
    return between.join(part.rstrip(" ,") for part in text.split("\n"))


def _number(field: Field | None) -> Decimal | None:
    return None if field is None or field.value is None else Decimal(field.value)
