"""What was read of images, as a caller works with it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from ocrvl.wire import FinishReason, Tensor, untag_message
from ocrvl_client._errors import InvalidRequest, OcrvlError, decodes_responses, error_from_server
from ocrvl_client._messages import READ_OUTPUTS, Array, Source
from ocrvl_client._tables import rows_of


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
            raise self.error or InvalidRequest(f"image {self.index}: it was not read")
        return self.reading


@decodes_responses
def decode_read(tensors: Mapping[Tensor, Array], seconds: float = 0.0) -> list[Reading]:
    """The readings of an answer of `ocr`, one an image."""
    return _decode_readings(tensors, Tensor.TEXT, seconds)


@decodes_responses
def decode_one(tensors: Mapping[Tensor, Array], seconds: float = 0.0) -> Reading:
    """The reading of an answer of `ocr` to one image."""
    (reading,) = _decode_readings(tensors, Tensor.TEXT, seconds)
    return reading


@decodes_responses
def decode_piece(tensors: Mapping[Tensor, Array], seconds: float = 0.0) -> list[str] | Reading:
    """What an answer of `ocr_stream` carries: pieces of a text, or, the last, its reading.

    No piece where the text had ended. Raises `OcrvlError` for an image that could not be read.
    """
    if Tensor.FINISH_REASON not in tensors:
        piece = str(tensors[Tensor.TEXT].ravel()[0].decode("utf-8"))
        return [piece] if piece else []
    (reading,) = _decode_readings(tensors, Tensor.FULL_TEXT, seconds)
    if reading.error:
        raise error_from_server(tensors[Tensor.ERROR].ravel()[0].decode("utf-8"), None)
    return reading


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
