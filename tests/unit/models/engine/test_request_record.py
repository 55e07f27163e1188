"""`ocrvl.models.request_record`: what is counted of a request, and the line that the log has of it."""

from __future__ import annotations

import json
import re
import time
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocrvl.errors import Cancelled, InternalError, InvalidArgument, Unavailable
from ocrvl.messages import Reading
from ocrvl.metrics.definitions import CancelReason, Outcome
from ocrvl.models.request_record import RequestRecord

_RECORD = RequestRecord(
    request_id="page-7",
    images=2,
    input_tokens=12,
    output_tokens=34,
    waited=0.00012,
    seconds=1.23456,
    outcome=Outcome.OK,
    cancelled_by=None,
    error="",
    trace="",
)


def parse_logfmt(line: str) -> dict[str, str]:
    """The pairs of a line, as a log collector reads them."""
    pairs = re.findall(r' ([a-z_]+)=("(?:[^"\\]|\\.)*"|[^" ]*)(?= |$)', line.removeprefix("request"))
    return {key: json.loads(value) if value.startswith('"') else value for key, value in pairs}


def test_a_line_has_what_an_operator_asks_for() -> None:
    assert _RECORD.line() == (
        "request request_id=page-7 outcome=ok images=2 input_tokens=12 output_tokens=34 waited_s=0.0001 seconds=1.2346"
    )


@pytest.mark.parametrize(
    ("record", "part"),
    [
        (replace(_RECORD, request_id=""), ' request_id="" '),
        (replace(_RECORD, request_id="page 7"), ' request_id="page 7" '),
        (replace(_RECORD, request_id="a=b"), ' request_id="a=b" '),
        (replace(_RECORD, request_id='"7"'), r' request_id="\"7\"" '),
        (replace(_RECORD, request_id="7\noutcome=ok"), r' request_id="7\noutcome=ok" '),
        (replace(_RECORD, request_id="7\t"), r' request_id="7\t" '),
        (replace(_RECORD, trace="00-ab-cd-01"), " traceparent=00-ab-cd-01"),
        (replace(_RECORD, error="too long"), ' error="too long"'),
    ],
)
def test_values_are_quoted_where_a_reader_would_be_misled(record: RequestRecord, part: str) -> None:
    assert part in record.line()


_TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"], include_characters="\n\t"))


@settings(deadline=None)
@given(_TEXTS, _TEXTS, _TEXTS)
def test_whatever_callers_send_a_request_is_one_line_and_can_be_read_again(
    request_id: str, trace: str, error: str
) -> None:
    line = replace(_RECORD, request_id=request_id, trace=trace, error=error).line()
    assert line.splitlines() == [line]
    fields = parse_logfmt(line)
    wanted = {"request_id": request_id, "traceparent": trace, "error": error, "outcome": "ok", "seconds": "1.2346"}
    assert {key: fields.get(key, "") for key in wanted} == wanted


@pytest.mark.parametrize(
    ("error", "outcome", "text"),
    [
        (None, Outcome.OK, ""),
        (InvalidArgument("too long"), Outcome.INVALID, "too long"),
        (Unavailable("full"), Outcome.UNAVAILABLE, "full"),
        (Cancelled("ended"), Outcome.CANCELLED, "ended"),
        (InternalError("no answer"), Outcome.INTERNAL, "InternalError('no answer')"),
        (KeyError("x"), Outcome.INTERNAL, "KeyError('x')"),
    ],
)
def test_an_error_is_an_outcome_and_a_text_and_a_fault_of_ours_keeps_its_kind(
    error: Exception | None, outcome: Outcome, text: str
) -> None:
    record = RequestRecord.of("id", time.monotonic(), error=error)
    assert (record.outcome, record.error) == (outcome, text)


@pytest.mark.parametrize(
    ("error", "ended", "cancelled_by"),
    [
        (Cancelled("x"), CancelReason.TOKEN, CancelReason.TOKEN),
        (Cancelled("x"), CancelReason.CALLER, CancelReason.CALLER),
        (Cancelled("x"), None, CancelReason.TIMEOUT),
        (Unavailable("x"), CancelReason.TOKEN, None),
        (None, CancelReason.TOKEN, None),
        (None, None, None),
    ],
)
def test_only_a_request_that_was_cancelled_says_by_what_and_unasked_it_was_its_time_limit(
    error: Exception | None, ended: CancelReason | None, cancelled_by: CancelReason | None
) -> None:
    assert RequestRecord.of("id", time.monotonic(), error=error, cancelled_by=ended).cancelled_by is cancelled_by


def test_tokens_are_summed_and_times_counted_from_the_arrival() -> None:
    arrived = time.monotonic() - 3
    record = RequestRecord.of(
        "id",
        arrived,
        admitted=arrived + 2,
        readings=(Reading(index, num_input_tokens=5, num_output_tokens=index) for index in range(3)),
        images=4,
        trace_headers={"tracestate": "a=b", "traceparent": "00-ab"},
    )
    assert (record.images, record.input_tokens, record.output_tokens, record.trace) == (4, 15, 3, "00-ab")
    assert record.waited == pytest.approx(2)
    assert record.seconds >= 3


def test_a_request_that_was_never_let_in_has_waited_all_its_time() -> None:
    record = RequestRecord.of("id", time.monotonic() - 3, error=Unavailable("full"))
    assert record.waited == record.seconds
