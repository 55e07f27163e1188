"""Requests and answers of images as arrays, the same for every transport: nothing here touches a network."""

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

from ocrvl.wire import MAX_IMAGES, FinishReason, Model, Task, Tensor, untag_message
from ocrvl_client._errors import InvalidRequest, OcrvlError, decodes_answers, error_from_server
from ocrvl_client._tables import rows_of

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
class Placed:
    """An input that lies in shared memory which the server knows: the first `size` bytes of `region`."""

    tensor: Tensor
    region: str
    size: int


@dataclass(frozen=True)
class Request:
    """One request to a model, as every transport carries it.

    `token` ends it through the model `cancel`, None where nothing is left to end; `owns_token` says whether it ends
    this request alone, as one that the caller has chosen may not. `outputs` are what is wanted back; of a stream
    everything is. `placed` is filled in by a transport that hands inputs over in shared memory.
    """

    model: Model
    inputs: Mapping[Tensor, Array]
    outputs: tuple[Tensor, ...]
    token: str | None = None
    owns_token: bool = False
    placed: Placed | None = None
    id: str = field(default_factory=lambda: uuid.uuid4().hex)

    def again(self) -> Request:
        """The same under an id of its own: where a connection broke, the server may still be busy with the last."""
        return replace(self, id=uuid.uuid4().hex)


@dataclass(frozen=True)
class Spot:
    """A piece of text and where it stands: corners in pixels of the image, x and y."""

    text: str
    polygon: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Reading:
    """What was read in one image.

    `error` is empty unless the request asked for `on_error="keep"` and this image could not be read; `warning`
    says what of the file was left out (a second frame, for example), empty where nothing was. `seconds` is how long
    the request took as its caller saw it, with all its attempts.
    """

    text: str
    finish_reason: FinishReason
    num_input_tokens: int
    num_output_tokens: int
    error: str = ""
    warning: str = ""
    seconds: float = field(default=0.0, compare=False)

    @property
    def rows(self) -> list[list[str]]:
        """The rows of the tables in `text`, which the task `table` gives as HTML; spanned cells are repeated."""
        return rows_of(self.text)

    @property
    def spots(self) -> list[Spot]:
        """The pieces of text that the task `spotting` finds; empty for other tasks.

        >>> Reading('{"rec_texts": ["Tea"], "rec_polys": [[[0, 0], [9, 0], [9, 5], [0, 5]]]}', "stop", 7, 9).spots
        [Spot(text='Tea', polygon=((0.0, 0.0), (9.0, 0.0), (9.0, 5.0), (0.0, 5.0)))]
        """
        try:
            found = json.loads(self.text)
            pairs = zip(found["rec_texts"], found["rec_polys"], strict=True)
            return [Spot(str(text), tuple((float(x), float(y)) for x, y in corners)) for text, corners in pairs]
        except (ValueError, LookupError, TypeError, ArithmeticError, RecursionError):
            return []


@dataclass(frozen=True)
class Outcome:
    """What became of one of many images: the `index`-th that was given; a reading, or the error instead."""

    index: int
    source: Source
    reading: Reading | None = None
    error: OcrvlError | None = None

    def result(self) -> Reading:
        """The reading. Raises the error where there is none."""
        if self.reading is None:
            raise self.error or InvalidRequest(f"image {self.index}: nothing was read")
        return self.reading


@dataclass(frozen=True)
class ServerMetadata:
    """What a server says of itself."""

    name: str
    version: str
    extensions: tuple[str, ...]


def encode_read(
    images: Sequence[Source], task: Task | str | Sequence[Task | str], options: Mapping[str, Any]
) -> Request:
    """A request to `ocr`. Raises `InvalidRequest` for what needs no server to refuse."""
    if not 1 <= len(images) <= MAX_IMAGES:
        raise InvalidRequest(f"{len(images)} images in one request, 1 to {MAX_IMAGES} are taken")
    token, encoded = encode_options(options)
    inputs = {
        Tensor.IMAGE: bytes_array([load_file(image) for image in images]),
        Tensor.TASK: bytes_array([str(one).encode() for one in ([task] if isinstance(task, str) else task)]),
        Tensor.OPTIONS: encoded,
    }
    return Request(Model.OCR, inputs, READ_OUTPUTS, token)


def encode_stream(image: Source, task: Task | str, options: Mapping[str, Any]) -> Request:
    """A request of one image to `ocr_stream`; its answers have what they have."""
    request = encode_read([image], task, options)
    return replace(request, model=Model.STREAM, outputs=(), owns_token=CANCEL_TOKEN not in options)


def encode_cancel(token: str) -> Request:
    """A request to `cancel`."""
    return Request(Model.CANCEL, {Tensor.CANCEL_TOKEN: bytes_array([token.encode()])}, (Tensor.CANCELLED,))


def encode_options(options: Mapping[str, Any]) -> tuple[str, Array]:
    """The options as a tensor, and the token by which the request can be ended: the caller's, or one of its own."""
    given = {CANCEL_TOKEN: uuid.uuid4().hex, **options}
    token = str(given[CANCEL_TOKEN])
    try:
        text = json.dumps(given)
    except (TypeError, ValueError) as error:
        raise InvalidRequest(f"options: {error}") from None
    return token, bytes_array([text.encode()])


@decodes_answers
def decode_read(tensors: Mapping[Tensor, Array], seconds: float = 0.0) -> list[Reading]:
    """The readings of an answer of `ocr`, one an image."""
    return _decode_readings(tensors, Tensor.TEXT, seconds)


@decodes_answers
def decode_piece(tensors: Mapping[Tensor, Array], seconds: float = 0.0) -> str | Reading | None:
    """What an answer of `ocr_stream` carries: the next piece of a text, or, the last, its reading.

    None where a text had nothing left to say. Raises `OcrvlError` for an image that could not be read.
    """
    if Tensor.FINISH_REASON not in tensors:
        return str(tensors[Tensor.TEXT].ravel()[0].decode("utf-8")) or None
    (reading,) = _decode_readings(tensors, Tensor.FULL_TEXT, seconds)
    if reading.error:
        raise error_from_server(tensors[Tensor.ERROR].ravel()[0].decode("utf-8"), None)
    return reading


@decodes_answers
def decode_cancel(tensors: Mapping[Tensor, Array]) -> int:
    """How many requests were ended."""
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


def _decode_readings(tensors: Mapping[Tensor, Array], text: Tensor, seconds: float) -> list[Reading]:
    columns = [tensors[name].ravel().tolist() for name in (text, *READ_OUTPUTS[1:])]
    return [
        Reading(
            text=words.decode("utf-8"),
            finish_reason=FinishReason(reason.decode("utf-8")),
            num_input_tokens=num_in,
            num_output_tokens=num_out,
            error=untag_message(error.decode("utf-8"))[1],
            warning=warning.decode("utf-8"),
            seconds=seconds,
        )
        for words, reason, num_in, num_out, error, warning in zip(*columns, strict=True)
    ]
