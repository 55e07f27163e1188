"""The client's typed options against the server's: the same names, the same types, on every method of both clients."""

from __future__ import annotations

import types
from typing import Annotated, Any, Literal, Union, Unpack, get_args, get_origin, get_type_hints, is_typeddict

import pytest
from pydantic import BaseModel

from ocrvl.models.document.options import DocumentOptions as ServerDocumentOptions
from ocrvl.models.receipt.options import ReceiptOptions as ServerReceiptOptions
from ocrvl.options import Options
from ocrvl_client import AsyncClient, Client, DocumentOptions, ReadOptions, ReceiptOptions


def shape(annotation: Any) -> Any:
    """A type without what only validates it; of an object its fields."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return shape(get_args(annotation)[0])
    if origin in (Union, types.UnionType, Literal):
        arguments = get_args(annotation)
        return ("one of", frozenset(arguments if origin is Literal else map(shape, arguments)))
    if origin is not None:
        return (origin, tuple(map(shape, get_args(annotation))))
    if is_typeddict(annotation):
        return {name: shape(value) for name, value in get_type_hints(annotation).items()}.items()
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return {name: shape(field.annotation) for name, field in annotation.model_fields.items()}.items()
    return annotation


@pytest.mark.parametrize(
    ("typed", "server"),
    [
        (ReadOptions, Options),
        (DocumentOptions, ServerDocumentOptions),
        (ReceiptOptions, ServerReceiptOptions),
    ],
)
def test_options_have_the_names_and_types_of_the_servers(typed: Any, server: type[BaseModel]) -> None:
    assert dict(shape(typed)) == dict(shape(server))
    assert not typed.__required_keys__


@pytest.mark.parametrize("client", [Client, AsyncClient])
@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("read", ReadOptions),
        ("read_batch", ReadOptions),
        ("read_many", ReadOptions),
        ("stream", ReadOptions),
        ("document", DocumentOptions),
        ("document_stream", DocumentOptions),
        ("receipt", ReceiptOptions),
        ("receipts_many", ReceiptOptions),
    ],
)
def test_every_method_takes_them(client: type, method: str, options: type) -> None:
    assert get_type_hints(getattr(client, method))["options"] == Unpack[options]
