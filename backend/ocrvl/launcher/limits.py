"""The bound for bodies over HTTP, from what the models of a repository take."""

from __future__ import annotations

import math
import subprocess
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final

from google.protobuf import text_format
from tritonclient.grpc.model_config_pb2 import ModelConfig

from ocrvl.settings import DocumentSettings, PreprocessSettings, parse_parameters
from ocrvl.wire import Model

_OPTION: Final = "--http-max-input-size"
_AROUND_FILES: Final = 1024 * 1024
"""Bytes of a body beside its files: options, names, the words of JSON."""


def http_limit_arguments(
    binary: Path, environment: Mapping[str, str], repository: Path, models: Collection[str] = ()
) -> list[str]:
    """Triton's argument that lets bodies be as large as the models take them; none for a Triton without it (2.51).

    Triton's own default, 64 MiB, is less than half of what `preprocess` takes.
    """
    # it lists its options on standard error, and ends with 1
    listed = subprocess.run([binary, "--help"], env=environment, capture_output=True, text=True, check=False)
    limit = http_limit(repository, models)
    return [f"{_OPTION}={limit}"] if limit and _OPTION in listed.stdout + listed.stderr else []


def http_limit(repository: Path, models: Collection[str] = ()) -> int | None:
    """Bytes of the largest body that the models take, all of the repository if there are none, with files as base64.

    None where none of them is found, or its configuration cannot be read: Triton says what is wrong with it.
    """
    sizes = []
    for model in (Model.PREPROCESS, Model.DOCUMENT, Model.DOCUMENT_STREAM):
        path = repository / model / "config.pbtxt"
        if path.is_file() and (not models or model in models):
            try:
                sizes.append(_largest(model, path))
            except (ValueError, text_format.ParseError):
                return None
    return math.ceil(max(sizes) / 3) * 4 + _AROUND_FILES if sizes else None


def _largest(model: Model, path: Path) -> int:
    config = text_format.Parse(path.read_text("utf-8"), ModelConfig())
    parameters = {key: value.string_value for key, value in config.parameters.items()}
    if model is Model.PREPROCESS:
        return parse_parameters(PreprocessSettings, parameters, path).max_request_bytes
    return parse_parameters(DocumentSettings, parameters, path).max_file_bytes
