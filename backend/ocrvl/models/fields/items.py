"""Which name, quantity and price of a receipt belong to one item."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ocrvl.models.fields.groups import Group, GroupRow, join
from ocrvl.models.fields.labels import Label


@dataclass(frozen=True)
class Item:
    """One thing that was sold."""

    name: Group
    quantity: Group | None
    price: Group | None


@dataclass(frozen=True)
class _Part:
    """What one row says of an item."""

    name: Group | None
    quantity: Group | None
    price: Group | None


def find_items(rows: Sequence[GroupRow]) -> list[Item]:
    """The items from top to bottom.

    A row with a name and a price is an item. A quantity in a row of its own, or with the price, belongs to the name
    above it where that has no price yet, or else to the one below. Names in rows that follow each other without a price
    are one name.
    """
    items: list[Item] = []
    above: _Part | None = None
    for part in filter(None, map(_part, rows)):
        if part.name is None:
            if items and items[-1].price is None:
                last = items[-1]
                items[-1] = Item(last.name, last.quantity or part.quantity, part.price)
            elif part.price is None:
                above = part
            continue
        quantity = part.quantity or (above.quantity if above else None)
        if items and items[-1].price is None:
            last = items[-1]
            items[-1] = replace(last, name=join([last.name, part.name]), quantity=quantity, price=part.price)
        else:
            items.append(Item(part.name, quantity, part.price))
        above = None
    return items


def _part(row: GroupRow) -> _Part | None:
    names = [group for group in row if group.label is Label.ITEM_NAME]
    quantity, price = _surest(row, Label.ITEM_QUANTITY), _surest(row, Label.ITEM_PRICE)
    if not (names or quantity or price):
        return None
    return _Part(join(names, " ") if names else None, quantity, price)


def _surest(row: GroupRow, label: Label) -> Group | None:
    groups = [group for group in row if group.label is label]
    return max(groups, key=lambda group: group.confidence) if groups else None
