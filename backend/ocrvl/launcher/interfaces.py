"""The faces of a server: the ways in which callers may ask, and the models that each needs."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from ocrvl.wire import Model


class Face(StrEnum):
    """A way to ask. `unary`: one answer a request; `stream`: text as it is generated; `document`: whole files."""

    UNARY = "unary"
    STREAM = "stream"
    DOCUMENT = "document"


_UNARY: Final = frozenset({Model.OCR, Model.PREPROCESS, Model.ENGINE, Model.CANCEL})

_MODELS: Final = {
    Face.UNARY: _UNARY,
    # streaming calls are calls to `ocr`, so it is needed as well
    Face.STREAM: _UNARY | {Model.STREAM},
    Face.DOCUMENT: _UNARY | {Model.LAYOUT, Model.DOCUMENT, Model.DOCUMENT_STREAM},
}


def models_of(faces: Iterable[Face]) -> tuple[Model, ...]:
    """The models that a server with these faces holds, in the order of `Model`.

    >>> [model.value for model in models_of([Face.UNARY])]
    ['ocr', 'preprocess', 'paddleocr_vl', 'cancel']
    """
    needed = frozenset[Model]().union(*(_MODELS[face] for face in faces))
    return tuple(model for model in Model if model in needed)
