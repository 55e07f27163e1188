"""Receipts read by a server: its model `receipt` finds and reads the lines, and has their fields found."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any, Final

from ocrvl_client import Client
from training.fields.score import Score, score
from training.fields.world import DrawnReceipt

NAME: Final = "through detection and reading"


FORGIVING: Final = f"{NAME}, misread letters forgiven"


def score_served(address: str, receipts: Sequence[DrawnReceipt]) -> list[Score]:
    """Send every receipt as PNG to the server at `address` (gRPC), several at a time.

    One score counts every letter, the other forgives what was misread: it is of detecting and classifying alone.
    """
    with Client(address) as client:
        answers: dict[int, Mapping[str, Any]] = {
            id(receipt): outcome.result().json["fields"]
            for receipt, outcome in zip(receipts, client.receipts_many(map(_png, receipts)), strict=True)
        }

    def read(receipt: DrawnReceipt, _: object) -> Mapping[str, Any]:
        return answers[id(receipt)]

    scores = [score(NAME, receipts, read), score(FORGIVING, receipts, read, forgiving=True)]
    for one in scores:
        one.is_served = True
    return scores


def _png(receipt: DrawnReceipt) -> bytes:
    buffer = io.BytesIO()
    receipt.image.save(buffer, "PNG")
    return buffer.getvalue()
