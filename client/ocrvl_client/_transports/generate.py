"""Streams over HTTP: Triton's `generate_stream`, a JSON object in, server-sent events with JSON objects out.

Source: Triton's generate extension, https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_generate.md
"""

from __future__ import annotations

import base64
import json
from typing import Any, Final

import numpy as np

from ocrvl.wire import Model, Tensor
from ocrvl_client._errors import OcrvlError, decodes_responses, error_from_server
from ocrvl_client._messages import Array, Request, bytes_array

_EVENT: Final = b"data:"
_FILES: Final = (Tensor.IMAGE, Tensor.FILE)
_ANSWERED_FILES: Final = {Tensor.IMAGE_DATA, Tensor.DOCX}
"""Base64 text in events, since `encode_body` asks for it."""


def path_of(model: Model) -> str:
    """The path of requests to a model."""
    return f"/v2/models/{model.value}/generate_stream"


def encode_body(request: Request) -> bytes:
    """The request as JSON: files as base64, which the server recognises, everything else as text."""
    body: dict[str, Any] = {"id": request.id}
    for name, array in request.inputs.items():
        (value,) = array.ravel().tolist()
        body[name.value] = base64.b64encode(value).decode() if name in _FILES else value.decode("utf-8")
    if request.model is Model.DOCUMENT_STREAM:
        options = json.loads(body[Tensor.OPTIONS.value])
        body[Tensor.OPTIONS.value] = json.dumps({**options, "base64_files": True})
    return json.dumps(body).encode()


@decodes_responses
def decode_event(line: bytes) -> dict[Tensor, Array] | None:
    """The tensors of one line of the answer; None for a line that is no event. Raises `OcrvlError` for an error."""
    if not line.startswith(_EVENT):
        return None
    event = json.loads(line.removeprefix(_EVENT))
    if "model_name" not in event:
        raise error_from_server(str(event.get("error", event)), None)
    known = {tensor.value: tensor for tensor in Tensor}
    tensors = {known[name]: _array(value) for name, value in event.items() if name in known}
    for name in _ANSWERED_FILES & tensors.keys():
        tensors[name] = bytes_array([base64.b64decode(value) for value in tensors[name].tolist()])
    return tensors


def decode_refusal(status: int, body: bytes) -> OcrvlError:
    """The error of an answer that is not a stream."""
    # what is refused before the first event comes as an event with an error's status
    text = body.removeprefix(_EVENT).decode("utf-8", "replace")
    try:
        text = str(json.loads(text)["error"])
    except (ValueError, KeyError, TypeError):
        text = text.strip() or f"HTTP status {status}"
    return error_from_server(text, str(status))


def _array(value: Any) -> Array:
    values = value if isinstance(value, list) else [value]
    if all(isinstance(one, int) for one in values):
        return np.array(values, np.int64)
    return bytes_array([str(one).encode("utf-8") for one in values])
