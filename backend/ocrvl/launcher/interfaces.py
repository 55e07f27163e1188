"""The interfaces that a server offers to callers, and the models that each needs."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from ocrvl.wire import Model


class Interface(StrEnum):
    """`unary`: one response; `stream`: text as it is generated; `document`: whole files; `receipt`: their fields."""

    UNARY = "unary"
    STREAM = "stream"
    DOCUMENT = "document"
    RECEIPT = "receipt"


_UNARY: Final = frozenset({Model.OCR, Model.PREPROCESS, Model.ENGINE, Model.CANCEL})

_MODELS: Final = {
    Interface.UNARY: _UNARY,
    # streaming calls are calls to `ocr`, so it is needed as well
    Interface.STREAM: _UNARY | {Model.STREAM},
    Interface.DOCUMENT: _UNARY | {Model.LAYOUT, Model.DOCUMENT, Model.DOCUMENT_STREAM},
    Interface.RECEIPT: _UNARY | {Model.FIELDS, Model.RECEIPT},
}


def models_of(interfaces: Iterable[Interface]) -> tuple[Model, ...]:
    """The models that a server with these interfaces holds, in the order of `Model`.

    >>> [model.value for model in models_of([Interface.UNARY])]
    ['ocr', 'preprocess', 'paddleocr_vl', 'cancel']
    """
    needed = frozenset[Model]().union(*(_MODELS[interface] for interface in interfaces))
    return tuple(model for model in Model if model in needed)
