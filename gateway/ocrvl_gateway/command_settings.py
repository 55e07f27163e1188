"""Settings of a command: from its arguments, else the environment, checked once; with words for what is wrong."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, NoDecode

from ocrvl.validation import FieldError, find_field_errors

S = TypeVar("S", bound=BaseSettings)

_HASHED_KEY: Final = re.compile(r"sha256:[0-9a-f]{64}")


class InvalidSettings(ValueError):
    """The message has a line for each problem: where it was set, and what is allowed."""


def _split(value: object) -> object:
    if isinstance(value, str):
        value = value.split(",")
    if isinstance(value, list):
        return [item.strip() if isinstance(item, str) else item for item in value if item != ""]
    return value


def _check_key(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    if text.startswith("sha256:") and not _HASHED_KEY.fullmatch(text):
        raise ValueError("expected 64 lowercase hexadecimal digits after sha256:")
    if len(text) < 16:
        raise ValueError("a key has at least 16 characters")
    return value


def _check_address(value: str) -> str:
    if not re.fullmatch(r"[^/:]+:[0-9]+|\[[0-9a-fA-F:]+\]:[0-9]+", value):
        raise ValueError(f"{value!r}: expected host and port, without a scheme")
    return value


Address = Annotated[str, AfterValidator(_check_address)]
Key = Annotated[SecretStr, AfterValidator(_check_key)]
Port = Annotated[int, Field(ge=0, le=65_535)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Split = (NoDecode, BeforeValidator(_split))
"""Of a list with commas between its items."""


def parse_settings(
    kind: type[S],
    program: str,
    arguments: Sequence[str] = (),
    environment: Mapping[str, str] = os.environ,
    family: Sequence[type[BaseSettings]] = (),
) -> S:
    """The settings from a command line's arguments and the environment, where they have `kind`'s own prefix.

    `family` are kinds with the same prefix: their settings in the environment are not unknown.
    Raises `InvalidSettings` for what is unknown or impossible, and `SystemExit` for `--help` or an unknown argument.
    """
    prefix = str(kind.model_config["env_prefix"])
    kinds: list[type[BaseSettings]] = [kind, *family]
    known = {f"{prefix}{name}".upper() for one in kinds for name in one.model_fields}
    if unknown := sorted(name for name in environment if name.startswith(prefix) and name not in known):
        raise InvalidSettings(
            "\n".join(f"{name}: no such setting (known: {', '.join(sorted(known))})" for name in unknown)
        )
    parse: Any = kind
    try:
        settings: S = parse(_cli_parse_args=list(arguments), _cli_prog_name=program)
    except ValidationError as error:
        raise InvalidSettings("\n".join(_describe(one, prefix) for one in find_field_errors(error))) from None
    return settings


def _describe(problem: FieldError, prefix: str) -> str:
    name = str(problem.path[0]) if problem.path else ""
    return f"--{name.replace('_', '-')} or {prefix}{name.upper()}: {problem.message}"
