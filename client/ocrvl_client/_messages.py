"""Requests and answers as arrays, the same for every transport: nothing here touches a network."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ocrvl.wire import MAX_PICTURES, FinishReason, Task, Tensor, untag_message
from ocrvl_client._errors import InvalidRequest

Array = npt.NDArray[Any]
Source = bytes | str | PathLike[str]
"""A picture: its encoded bytes, or the path of its file."""

READ_OUTPUTS: Final = (
    Tensor.TEXT,
    Tensor.FINISH_REASON,
    Tensor.NUM_INPUT_TOKENS,
    Tensor.NUM_OUTPUT_TOKENS,
    Tensor.ERROR,
    Tensor.WARNING,
)


@dataclass(frozen=True)
class Reading:
    """What was read in one picture.

    `error` is empty unless the request asked for `on_error="keep"` and this picture could not be read; `warning`
    says what of the file was left out (a second frame, for example), empty where nothing was.
    """

    text: str
    finish_reason: FinishReason
    num_input_tokens: int
    num_output_tokens: int
    error: str = ""
    warning: str = ""


def encode_read(
    pictures: Sequence[Source], task: Task | str | Sequence[Task | str], options: Mapping[str, Any]
) -> dict[Tensor, Array]:
    """The input tensors of a request to `ocr`. Raises `InvalidRequest` for what needs no server to refuse."""
    if not 1 <= len(pictures) <= MAX_PICTURES:
        raise InvalidRequest(f"{len(pictures)} pictures in one request, 1 to {MAX_PICTURES} are taken")
    tasks = [task] if isinstance(task, str) else list(task)
    tensors = {
        Tensor.IMAGE: _bytes_array([load_picture(picture) for picture in pictures]),
        Tensor.TASK: _bytes_array([str(one).encode() for one in tasks]),
    }
    if options:
        try:
            tensors[Tensor.OPTIONS] = _bytes_array([json.dumps(dict(options)).encode()])
        except (TypeError, ValueError) as error:
            raise InvalidRequest(f"options: {error}") from None
    return tensors


def decode_read(tensors: Mapping[Tensor, Array]) -> list[Reading]:
    """The readings of an answer of `ocr`, one a picture."""
    columns = [tensors[name].ravel().tolist() for name in READ_OUTPUTS]
    return [
        Reading(
            text=text.decode("utf-8"),
            finish_reason=FinishReason(reason.decode("utf-8")),
            num_input_tokens=num_in,
            num_output_tokens=num_out,
            error=untag_message(error.decode("utf-8"))[1],
            warning=warning.decode("utf-8"),
        )
        for text, reason, num_in, num_out, error, warning in zip(*columns, strict=True)
    ]


def load_picture(picture: Source) -> bytes:
    """The encoded bytes of a picture. Raises `InvalidRequest` for a file that can not be read."""
    if isinstance(picture, bytes):
        return picture
    try:
        return Path(picture).read_bytes()
    except OSError as error:
        raise InvalidRequest(f"{picture}: {error.strerror or error}") from None


def _bytes_array(values: Sequence[bytes]) -> Array:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array
