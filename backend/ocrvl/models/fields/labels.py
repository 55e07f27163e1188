"""What a word of a receipt can be."""

from __future__ import annotations

from enum import StrEnum


class Label(StrEnum):
    """The labels of a checkpoint; with prefixes of the kind `B-` and `I-`, or without, in any case."""

    OTHER = "O"
    COMPANY = "company"
    ADDRESS = "address"
    DATE = "date"
    CURRENCY = "currency"
    PAYMENT = "payment"
    SUBTOTAL = "subtotal"
    TAX = "tax"
    TOTAL = "total"
    ITEM_NAME = "item_name"
    ITEM_QUANTITY = "item_quantity"
    ITEM_PRICE = "item_price"
