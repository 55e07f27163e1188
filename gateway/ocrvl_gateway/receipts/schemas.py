"""The body of a request for a receipt, and the form of its answer: the published schema, and a drawing."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from ocrvl.schemas import RECEIPT, read_schema

_REFERENCE: Final = "#/$defs/"

Pixels = Annotated[int, Field(ge=784, le=16_777_216)]


class ReceiptRequest(BaseModel):
    """A receipt and how to read it."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    image: Annotated[str, StringConstraints(min_length=1)] = Field(
        description="the image as base64 or a data URL, or its address where those are fetched"
    )
    max_tokens: Annotated[int, Field(ge=1, le=131_072)] | None = Field(
        None, description="tokens generated for a line, 256 unless set"
    )
    min_pixels: Pixels | None = Field(None, description="smaller lines are enlarged to it")
    max_pixels: Pixels | None = Field(None, description="larger lines are reduced to it")
    stop_repetition: bool = Field(True, description="a line whose text only repeats itself is ended")
    visualize: bool = Field(False, description="the image is sent as well, with its fields drawn on it")


def receipt_schema() -> dict[str, Any]:
    """The schema of an answer, for the OpenAPI document: without references, which mean another place there."""
    published = read_schema(RECEIPT)
    definitions = published.pop("$defs")
    schema: dict[str, Any] = _inlined({key: published[key] for key in published if key[0] != "$"}, definitions)
    schema["required"] = [*schema["required"], "lines"]
    schema["properties"]["drawing"] = {
        "type": "string",
        "contentEncoding": "base64",
        "contentMediaType": "image/jpeg",
        "description": "With `visualize`: the image with its fields drawn on it.",
    }
    return schema


def _inlined(part: Any, definitions: dict[str, Any]) -> Any:
    if isinstance(part, list):
        return [_inlined(one, definitions) for one in part]
    if not isinstance(part, dict):
        return part
    if "$ref" in part:
        return _inlined(definitions[part["$ref"].removeprefix(_REFERENCE)], definitions)
    return {key: _inlined(one, definitions) for key, one in part.items()}
