"""What is known of a request once it has its answer: a line of the log, and what metrics count."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ocrvl.messages import Reading
from ocrvl.metrics.definitions import CancelReason, Outcome


@dataclass(frozen=True)
class RequestRecord:
    """One request. Times are in seconds; `waited` is the time at the engine's door, `seconds` all of it.

    `error` is empty for a request that was answered. `trace` is W3C's `traceparent`, where the caller sent one.
    `is_part`: it belongs to a request that has a line of its own, as blocks belong to a document.
    """

    request_id: str
    images: int
    input_tokens: int
    output_tokens: int
    waited: float
    seconds: float
    outcome: Outcome
    cancelled_by: CancelReason | None
    error: str
    trace: str
    is_part: bool = False

    @classmethod
    def of(
        cls,
        request_id: str,
        arrived: float,
        *,
        admitted: float = 0.0,
        readings: Iterable[Reading] = (),
        images: int = 0,
        trace_headers: Mapping[str, str] | None = None,
        error: Exception | None = None,
        cancelled_by: CancelReason | None = None,
        is_part: bool = False,
    ) -> RequestRecord:
        """Of a request that is done now; `arrived` and `admitted` (0: never) are times of `time.monotonic`."""
        now = time.monotonic()
        outcome = Outcome.from_error(error)
        readings = list(readings)
        return cls(
            request_id=request_id,
            images=images,
            input_tokens=sum(reading.num_input_tokens for reading in readings),
            output_tokens=sum(reading.num_output_tokens for reading in readings),
            waited=(admitted or now) - arrived,
            seconds=now - arrived,
            outcome=outcome,
            # what ends a request without anyone's asking is its time limit
            cancelled_by=cancelled_by or CancelReason.TIMEOUT if outcome is Outcome.CANCELLED else None,
            error=str(error or "") if outcome is not Outcome.INTERNAL else repr(error),
            trace=(trace_headers or {}).get("traceparent", ""),
            is_part=is_part,
        )

    def line(self) -> str:
        """As logfmt: keys and values that people and log collectors read alike."""
        fields: dict[str, Any] = {
            "request_id": self.request_id,
            "outcome": self.outcome,
            "images": self.images,
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "waited_s": round(self.waited, 4),
            "seconds": round(self.seconds, 4),
        }
        if self.trace:
            fields["traceparent"] = self.trace
        if self.error:
            fields["error"] = self.error
        return logfmt("request", fields)


def logfmt(event: str, fields: Mapping[str, object]) -> str:
    """One line, whatever the values are: the event and its fields, quoted where a reader would be misled.

    >>> logfmt("request", {"request_id": "page 7", "images": 2})
    'request request_id="page 7" images=2'
    """
    return " ".join([event, *(f"{key}={quote_value(value)}" for key, value in fields.items())])


def quote_value(value: object) -> str:
    """A value of logfmt: in quotation marks, escaped, unless it is one printable word."""
    text = str(value)
    return text if text.isprintable() and text and not set(text) & set(' "=') else json.dumps(text)
