"""Requests as arrays, the same for every transport: nothing here touches a network."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from os import PathLike
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ocrvl.wire import MAX_IMAGES, Model, Task, Tensor
from ocrvl_client._errors import InvalidRequest, decodes_responses

Array = npt.NDArray[Any]
Source = bytes | str | PathLike[str]
"""An image or a document: its encoded bytes, or the path of its file."""

READ_OUTPUTS: Final = (
    Tensor.TEXT,
    Tensor.FINISH_REASON,
    Tensor.NUM_INPUT_TOKENS,
    Tensor.NUM_OUTPUT_TOKENS,
    Tensor.ERROR,
    Tensor.WARNING,
)

CANCEL_TOKEN: Final = Tensor.CANCEL_TOKEN.value
"""The option has the name of the tensor."""


@dataclass(frozen=True)
class SharedInput:
    """An input that lies in registered shared memory: the first `size` bytes of `region`."""

    tensor: Tensor
    region: str
    size: int


@dataclass(frozen=True)
class Request:
    """One request to a model, as every transport carries it.

    `token` cancels it through the model `cancel`, None where there is nothing to cancel; `owns_token` says whether it
    cancels this request alone, as one that the caller has chosen may not. `outputs` are those to return; of a stream
    all are. `headers` go with it beside the connection's. `shared` is filled in by a transport that hands inputs over
    in shared memory.
    """

    model: Model
    inputs: Mapping[Tensor, Array]
    outputs: tuple[Tensor, ...]
    token: str | None = None
    owns_token: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)
    shared: SharedInput | None = None
    id: str = field(default_factory=lambda: uuid.uuid4().hex)

    def with_new_id(self) -> Request:
        """The same request for another attempt: where a connection broke, the server may still work on the last."""
        return replace(self, id=uuid.uuid4().hex)


def encode_read(
    images: Sequence[Source], task: Task | str | Sequence[Task | str], options: Mapping[str, Any]
) -> Request:
    """A request to `ocr`. Raises `InvalidRequest` for what needs no server to refuse."""
    if not 1 <= len(images) <= MAX_IMAGES:
        raise InvalidRequest(f"{len(images)} images in one request, expected 1 to {MAX_IMAGES}")
    token, encoded = encode_options(options)
    inputs = {
        Tensor.IMAGE: bytes_array([load_file(image) for image in images]),
        Tensor.TASK: bytes_array([str(one).encode() for one in ([task] if isinstance(task, str) else task)]),
        Tensor.OPTIONS: encoded,
    }
    return Request(Model.OCR, inputs, READ_OUTPUTS, token)


def encode_one(task: Task | str, image: Source, options: Mapping[str, Any]) -> Request:
    """A request of one image to `ocr`."""
    return encode_read([image], task, options)


def encode_stream(image: Source, task: Task | str, options: Mapping[str, Any]) -> Request:
    """A request of one image to `ocr_stream`."""
    request = encode_one(task, image, options)
    return replace(request, model=Model.STREAM, outputs=(), owns_token=CANCEL_TOKEN not in options)


def encode_cancel(token: str) -> Request:
    """A request to `cancel`."""
    return Request(Model.CANCEL, {Tensor.CANCEL_TOKEN: bytes_array([token.encode()])}, (Tensor.CANCELLED,))


def encode_options(options: Mapping[str, Any]) -> tuple[str, Array]:
    """The token by which the request can be cancelled, the caller's or a new one, and the options as a tensor."""
    given = {CANCEL_TOKEN: uuid.uuid4().hex, **options}
    token = str(given[CANCEL_TOKEN])
    try:
        text = json.dumps(given)
    except (TypeError, ValueError) as error:
        raise InvalidRequest(f"options: {error}") from None
    return token, bytes_array([text.encode()])


@decodes_responses
def decode_cancel(tensors: Mapping[Tensor, Array]) -> int:
    """How many requests were cancelled."""
    return int(tensors[Tensor.CANCELLED].ravel()[0])


def load_file(source: Source) -> bytes:
    """The bytes of an image or a document. Raises `InvalidRequest` for a file that cannot be read."""
    if isinstance(source, bytes):
        return source
    try:
        return Path(source).read_bytes()
    except OSError as error:
        raise InvalidRequest(f"{source}: {error.strerror or error}") from None


def bytes_array(values: Sequence[bytes]) -> Array:
    """A BYTES tensor of one dimension."""
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array
