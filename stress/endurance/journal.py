"""What a client writes down of each request, before it sends it and when it has ended.

A line for each event, written with one call: what a killed client wrote before stays, and all but its last line is
whole.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeAlias

from stress.endurance.callers import CallerKind, Outcome


@dataclass(frozen=True)
class Sent:
    """A request is about to be sent. Times are of `time.monotonic`, which all processes of a machine share."""

    id: str
    at: float
    caller: CallerKind
    image: str


@dataclass(frozen=True)
class Ended:
    """A request has ended; `detail` is its error's message, or the wrong text."""

    id: str
    at: float
    outcome: Outcome
    detail: str = ""


@dataclass(frozen=True)
class Closed:
    """The client has ended; whatever is still open then never ended."""

    at: float


Event: TypeAlias = Sent | Ended | Closed
_KINDS = {kind.__name__: kind for kind in (Sent, Ended, Closed)}


class Journal:
    """One client's file. Several threads may write."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def write(self, event: Event) -> None:
        """Append an event."""
        os.write(self._file, encode_event(event))


def encode_event(event: Event) -> bytes:
    r"""An event's line.

    >>> encode_event(Closed(2.5))
    b'{"event": "Closed", "at": 2.5}\n'
    """
    return (json.dumps({"event": type(event).__name__, **asdict(event)}) + "\n").encode()


def read_events(text: bytes) -> Iterator[Event]:
    """The events of a journal; a last line that was not finished is left out."""
    for line in text.split(b"\n")[:-1]:
        values = json.loads(line)
        kind = _KINDS[values.pop("event")]
        if kind is Sent:
            values["caller"] = CallerKind(values["caller"])
        elif kind is Ended:
            values["outcome"] = Outcome(values["outcome"])
        yield kind(**values)
