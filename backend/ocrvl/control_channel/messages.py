"""What passes over the control channel, a JSON object a line; the key `kind` names the class."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from pydantic import TypeAdapter

from ocrvl.messages import Reading

MAX_LINE_BYTES: Final = 4 * 1024 * 1024
"""Bytes of one message: an image's whole text, escaped, is far below."""


class Availability(StrEnum):
    """Whether an engine can take requests: yes, not before another is done, or not before it has restarted."""

    READY = "ready"
    FULL = "full"
    DOWN = "down"


@dataclass(frozen=True)
class Hello:
    """Client to engine, first: by this unguessable name its streams will be addressed."""

    client: str


@dataclass(frozen=True)
class Cancel:
    """Client to engine: end the requests that carry this token, and answer with `Cancelled` of this number."""

    token: str
    number: int


@dataclass(frozen=True)
class Cancelled:
    """Engine to client: so many requests were ended."""

    number: int
    count: int


@dataclass(frozen=True)
class AvailabilityChanged:
    """Engine to client: sent after `Hello` and whenever it changes."""

    availability: Availability


@dataclass(frozen=True)
class Taken:
    """Engine to client: this engine has the stream's request."""

    stream: str


@dataclass(frozen=True)
class Delta:
    """Engine to client: the next piece of an image's text, whole characters."""

    stream: str
    index: int
    text: str


@dataclass(frozen=True)
class Done:
    """Engine to client: an image is done. `reading.text` is its whole text, post-processed."""

    stream: str
    reading: Reading


@dataclass(frozen=True)
class End:
    """Engine to client: nothing follows for this stream; its answer through Triton is on its way."""

    stream: str


Message = Hello | Cancel | Cancelled | AvailabilityChanged | Taken | Delta | Done | End
_KINDS: Final[dict[str, TypeAdapter[Any]]] = {
    kind.__name__: TypeAdapter(kind)
    for kind in (Hello, Cancel, Cancelled, AvailabilityChanged, Taken, Delta, Done, End)
}


def encode_message(message: Message) -> bytes:
    r"""One line.

    >>> encode_message(Delta("a1", 0, "Soup\\n"))
    b'{"kind":"Delta","stream":"a1","index":0,"text":"Soup\\\\n"}\n'
    """
    fields = {"kind": type(message).__name__, **dataclasses.asdict(message)}
    return json.dumps(fields, separators=(",", ":")).encode() + b"\n"


def decode_message(line: bytes) -> Message:
    """The message of a line. Raises `ValueError` for what is none."""
    try:
        fields = json.loads(line)
        message: Message = _KINDS[fields.pop("kind")].validate_python(fields)
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
        raise ValueError(f"not a message of the control channel: {line[:80]!r} ({error!r})") from None
    return message
