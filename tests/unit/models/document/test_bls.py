"""`ocrvl.models.document.bls`: what a document is told of the calls that it makes to other models."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from ocrvl.errors import Unavailable
from ocrvl.models.document.bls import BlsModels, to_blocks
from ocrvl.models.document.options import parse_document_options


class FailingModels(BlsModels):
    """Models whose engine restarts."""

    def __init__(self) -> None:
        self.asked = 0

    async def _read_group(self, crops: Sequence[Any], options: Any, call: Any) -> Any:
        self.asked += 1
        raise Unavailable("the engine is restarting")


def test_an_engine_that_restarts_is_told_as_such_and_not_as_a_group_of_errors() -> None:
    models = FailingModels()
    crops: list[Any] = [SimpleNamespace()] * 9
    with pytest.raises(Unavailable, match="the engine is restarting"):
        asyncio.run(models.read_blocks(crops, parse_document_options(None), "0123456789abcdef", SimpleNamespace()))
    assert models.asked


def test_a_block_that_an_engine_left_is_asked_for_again_and_one_that_cannot_be_read_is_not() -> None:
    bad = "[INVALID_ARG] image 0: its aspect ratio is 300"
    assert [block.error for block in to_blocks(["a", ""], ["", bad])] == ["", bad]
    with pytest.raises(Unavailable, match="image 1: the engine has stopped"):
        to_blocks(["", ""], [bad, "[UNAVAILABLE] image 1: the engine has stopped"])
