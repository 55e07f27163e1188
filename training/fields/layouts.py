"""The shapes of receipts: what stands where, and which shapes only scoring sees."""

from __future__ import annotations

import zlib
from dataclasses import astuple, dataclass
from enum import StrEnum
from random import Random

from training.nano.texts import Split


class Header(StrEnum):
    """The head of a receipt: `columns` has shop and number side by side."""

    CENTRED = "centred"
    LEFT = "left"
    COLUMNS = "columns"


class Items(StrEnum):
    """How an item is printed."""

    PLAIN = "plain"
    QUANTITY_FIRST = "quantity first"
    QUANTITY_COLUMN = "quantity column"
    QUANTITY_BELOW = "quantity below"
    QUANTITY_ABOVE = "quantity above"
    FOUR_COLUMNS = "four columns"
    CODES = "codes"
    TIMES = "times"


class Sums(StrEnum):
    """What follows the items."""

    TOTAL = "total"
    TAX_ADDED = "tax added"
    TAX_INCLUDED = "tax included"
    TAX_TABLE = "tax table"
    TWO_TAXES = "two taxes"
    SUBTOTAL = "subtotal"


class DatePlace(StrEnum):
    """Where the date stands."""

    TOP = "top"
    TOP_ALONE = "top alone"
    BESIDE_NUMBER = "beside number"
    BOTTOM = "bottom"


class Payment(StrEnum):
    """What follows the sums: `none` of it, a row with an amount, with the change too, or a block of a card terminal."""

    NONE = "none"
    ROW = "row"
    WITH_CHANGE = "with change"
    TERMINAL = "terminal"


@dataclass(frozen=True)
class Layout:
    """One shape of a receipt."""

    header: Header
    items: Items
    sums: Sums
    date: DatePlace
    payment: Payment

    @property
    def split(self) -> Split:
        """One shape in eight, by its checksum, is held out."""
        return Split.HELD_OUT if zlib.crc32("/".join(astuple(self)).encode()) % 8 == 0 else Split.TRAINING


def pick_layout(rng: Random, split: Split, *, is_tax_added: bool) -> Layout:
    """A shape of the split; tax is added in countries where prices come without."""
    sums = [Sums.TOTAL, Sums.SUBTOTAL, Sums.TWO_TAXES]
    sums += [Sums.TAX_ADDED] * 3 if is_tax_added else [Sums.TAX_INCLUDED, Sums.TAX_INCLUDED, Sums.TAX_TABLE]
    while True:
        layout = Layout(
            rng.choice(tuple(Header)),
            rng.choice(tuple(Items)),
            rng.choice(sums),
            rng.choice(tuple(DatePlace)),
            rng.choice(tuple(Payment)),
        )
        if layout.split is split:
            return layout
