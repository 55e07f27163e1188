"""Receipts read by a server: its model `receipt` finds and reads the lines, and has their fields found."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Final

from ocrvl_client import Client
from training.fields.score import Score, score
from training.fields.world import DrawnReceipt

NAME: Final = "through detection and reading"


def score_served(address: str, receipts: Sequence[DrawnReceipt]) -> Score:
    """Send every receipt as PNG to the server at `address` (gRPC), several at a time."""
    with Client(address) as client:
        answers = {
            id(receipt): outcome.result().json["fields"]
            for receipt, outcome in zip(receipts, client.receipts_many(map(_png, receipts)), strict=True)
        }
    result = score(NAME, receipts, lambda receipt, _: answers[id(receipt)])
    result.is_served = True
    return result


def _png(receipt: DrawnReceipt) -> bytes:
    buffer = io.BytesIO()
    receipt.image.save(buffer, "PNG")
    return buffer.getvalue()
