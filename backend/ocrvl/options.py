"""What a request may ask for: the `options` object, checked once, before anything is decoded."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)

from ocrvl.adapters.names import AdapterName
from ocrvl.errors import InvalidArgument
from ocrvl.structured_output import MAX_CHARACTERS, check_pattern, check_schema
from ocrvl.validation import find_field_errors
from ocrvl.wire import Task

MAX_OPTIONS_BYTES = 256 * 1024
"""Bytes of an options object; a JSON schema is the largest thing one has reason to hold."""

_PROBLEMS_TOLD = 3
"""Problems with one object that a message lists: each may name all the keys that there are."""

StopString = Annotated[str, StringConstraints(min_length=1, max_length=64)]


def _check_token(token: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._~-]{16,128}", token):
        raise ValueError("expected 16 to 128 letters, digits and signs of ._~-")
    return token


CancelToken = Annotated[str, AfterValidator(_check_token)]


AdapterChoice = AdapterName | dict[Task, AdapterName]
"""The adapter of all images, or those of tasks, by the tasks' names; other tasks have none."""


def chosen_adapters(choice: AdapterChoice | None) -> frozenset[str]:
    """The names in a choice."""
    return frozenset(choice.values() if isinstance(choice, dict) else [choice] if choice else [])


def check_adapters(choice: AdapterChoice | None, known: Collection[str]) -> None:
    """Raise `InvalidArgument`, with the list of those that are served, where a choice names another."""
    if unknown := sorted(chosen_adapters(choice).difference(known)):
        raise InvalidArgument(f"options: adapter: unknown {unknown[0]!r} (served: {', '.join(known) or 'none'})")


class Options(BaseModel):
    """The options of a request, the same for all its images. Unknown keys are refused.

    Sampling defaults are the model card's: greedy, no penalty.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    max_tokens: int | None = Field(None, ge=1, le=131_072, description="tokens generated for an image, 4096 unless set")
    temperature: float = Field(0.0, ge=0, le=2, description="0 is greedy")
    top_p: float = Field(1.0, gt=0, le=1, description="nucleus sampling, with a temperature above 0")
    repetition_penalty: float = Field(1.0, gt=0, le=2, description="1 is none")
    seed: int | None = Field(None, ge=0, le=2**63 - 1, description="for sampling that can be repeated")
    stop: Annotated[list[StopString], Field(max_length=8)] = Field(
        default=[], description="texts that end generation, not part of the result"
    )
    min_pixels: int | None = Field(None, ge=784, le=16_777_216, description="smaller images are enlarged to it")
    max_pixels: int | None = Field(None, ge=784, le=16_777_216, description="larger images are reduced to it")
    prompt: Annotated[str, StringConstraints(min_length=1, max_length=4096)] | None = Field(
        None, description="sent instead of the task's own prompt"
    )
    adapter: AdapterChoice | None = Field(
        None, description="the LoRA adapter to read with, or an object of adapters by task"
    )
    json_schema: dict[str, Any] | None = Field(None, description="the text is JSON that satisfies this schema")
    regex: Annotated[str, StringConstraints(min_length=1, max_length=MAX_CHARACTERS)] | None = Field(
        None, description="the text matches this pattern"
    )
    stop_repetition: bool = Field(
        True, description="generation ends when the text only repeats itself (`finish_reason` `repetition`)"
    )
    raw: bool = Field(False, description="the model's own words, without post-processing")
    timeout_ms: int | None = Field(None, ge=1, le=3_600_000, description="the request is ended after this time")
    cancel_token: CancelToken | None = Field(
        None,
        description="ends the request through the model `cancel`; choose one that nobody can guess, a UUID for example",
    )
    on_error: Literal["fail", "keep"] = Field("fail", description="`keep`: a bad image fails alone, see `error`")

    @field_validator("json_schema")
    @classmethod
    def _check_schema(cls, schema: dict[str, Any] | None) -> dict[str, Any] | None:
        if schema is not None:
            check_schema(schema)
        return schema

    @field_validator("regex")
    @classmethod
    def _check_regex(cls, pattern: str | None) -> str | None:
        if pattern is not None:
            check_pattern(pattern)
        return pattern

    @model_validator(mode="after")
    def _check_exclusion(self) -> Options:
        if self.json_schema is not None and self.regex is not None:
            raise ValueError("json_schema and regex exclude each other")
        return self

    def adapter_for(self, task: Task) -> str | None:
        """The adapter that images of a task are read with; None for the checkpoint itself."""
        return self.adapter.get(task) if isinstance(self.adapter, dict) else self.adapter


T = TypeVar("T", bound=BaseModel)


def parse_options(raw: bytes | None) -> Options:
    """The options of a request from the bytes of its `options` tensor; defaults where it has none.

    Raises `InvalidArgument` naming the key that is wrong and what it may be.
    """
    return parse_object(Options, raw)


def parse_object(kind: type[T], raw: bytes | None) -> T:
    """As `parse_options`, for another model's options."""
    if raw is None or not raw.strip():
        return kind()
    if len(raw) > MAX_OPTIONS_BYTES:
        raise InvalidArgument(f"options: {len(raw)} bytes, at most {MAX_OPTIONS_BYTES} are taken")
    try:
        value = json.loads(raw.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise InvalidArgument(f"options: not UTF-8 (byte {error.start})") from None
    except (ValueError, RecursionError) as error:
        raise InvalidArgument(f"options: not JSON ({error})") from None
    if not isinstance(value, dict):
        raise InvalidArgument(f"options: expected a JSON object, got a {_json_type(value)}")
    try:
        return kind.model_validate_json(raw)
    except ValidationError as error:
        raise InvalidArgument(f"options: {_describe(error, kind)}") from None


def _describe(error: ValidationError, kind: type[BaseModel]) -> str:
    """One clause a problem, each beginning with the key."""
    problems = find_field_errors(error)
    clauses = [problem.describe(kind.model_fields) for problem in problems[:_PROBLEMS_TOLD]]
    if (untold := len(problems) - _PROBLEMS_TOLD) > 0:
        clauses.append(f"and {untold} more")
    return "; ".join(clauses)


def _json_type(value: object) -> str:
    names = {list: "list", str: "string", bool: "boolean", int: "number", float: "number", type(None): "null"}
    return names[type(value)]
