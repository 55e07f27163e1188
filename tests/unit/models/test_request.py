"""`ocrvl.models.request`: what ends a request, what is counted of it, and the line that the log has of it."""

from __future__ import annotations

import asyncio
import json
import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocrvl.errors import Cancelled, InternalError, InvalidArgument, Unavailable
from ocrvl.messages import Reading
from ocrvl.metrics.definitions import CancelReason, Outcome
from ocrvl.models.engine.request import EngineRequest
from ocrvl.models.request import Request
from tests.support.doubles import GRID, MemoryCall, pack, request_of


def finished(request_id: str = "page-7", error: Exception | None = None, trace: str = "") -> EngineRequest:
    """A request of two images that was admitted after 0.12 ms and has taken 1.23456 s."""
    call = MemoryCall(pack(2).encode_tensors(), request_id)
    call.trace_headers = {"tracestate": "a=b", "traceparent": trace}
    request = EngineRequest(call)
    request.decode(GRID)
    request.readings = [Reading(index, num_input_tokens=6, num_output_tokens=17) for index in range(2)]
    request.finish(error)
    request.admitted_at, request.finished_at = request.taken_at + 0.00012, request.taken_at + 1.23456
    return request


def parse_logfmt(line: str) -> dict[str, str]:
    """The pairs of a line, as a log collector reads them."""
    pairs = re.findall(r' ([a-z_]+)=("(?:[^"\\]|\\.)*"|[^" ]*)(?= |$)', line.removeprefix("request"))
    return {key: json.loads(value) if value.startswith('"') else value for key, value in pairs}


def test_a_line_has_what_an_operator_asks_for() -> None:
    assert finished().line() == (
        "request request_id=page-7 outcome=ok images=2 input_tokens=12 output_tokens=34 waited_s=0.0001 seconds=1.2346"
    )


@pytest.mark.parametrize(
    ("request_", "part"),
    [
        (finished(""), ' request_id="" '),
        (finished("page 7"), ' request_id="page 7" '),
        (finished("a=b"), ' request_id="a=b" '),
        (finished('"7"'), r' request_id="\"7\"" '),
        (finished("7\noutcome=ok"), r' request_id="7\noutcome=ok" '),
        (finished("7\t"), r' request_id="7\t" '),
        (finished(trace="00-ab-cd-01"), " traceparent=00-ab-cd-01"),
        (finished(error=InvalidArgument("too long")), ' error="too long"'),
    ],
)
def test_values_are_quoted_where_a_reader_would_be_misled(request_: EngineRequest, part: str) -> None:
    assert part in request_.line()


_TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"], include_characters="\n\t"))


@settings(deadline=None)
@given(_TEXTS, _TEXTS, _TEXTS)
def test_whatever_callers_send_a_request_is_one_line_and_can_be_read_again(
    request_id: str, trace: str, error: str
) -> None:
    line = finished(request_id, InvalidArgument(error), trace).line()
    assert line.splitlines() == [line]
    fields = parse_logfmt(line)
    expected = {"request_id": request_id, "traceparent": trace, "error": error, "outcome": "invalid"}
    assert {key: fields.get(key, "") for key in expected} == expected


@pytest.mark.parametrize("text", ["a\rb", "a\x1b[2J", "a\x85b", "a\u2028b", "a\x0bb", "a\x00"])
def test_no_control_character_of_a_caller_reaches_the_log(text: str) -> None:
    assert finished(text).line().isprintable()


@pytest.mark.parametrize(
    ("error", "outcome", "text"),
    [
        (None, Outcome.OK, None),
        (InvalidArgument("too long"), Outcome.INVALID, "too long"),
        (Unavailable("full"), Outcome.UNAVAILABLE, "full"),
        (Cancelled("ended"), Outcome.CANCELLED, "ended"),
        (InternalError("no answer"), Outcome.INTERNAL, "InternalError('no answer')"),
        (KeyError("x"), Outcome.INTERNAL, "KeyError('x')"),
    ],
)
def test_an_error_is_an_outcome_and_a_text_and_a_fault_of_ours_keeps_its_kind(
    error: Exception | None, outcome: Outcome, text: str | None
) -> None:
    request = finished(error=error)
    assert (request.outcome, parse_logfmt(request.line()).get("error")) == (outcome, text)


@pytest.mark.parametrize(
    ("error", "ended", "cancelled_by"),
    [
        (Cancelled("x"), CancelReason.TOKEN, CancelReason.TOKEN),
        (Cancelled("x"), CancelReason.CALLER, CancelReason.CALLER),
        (Cancelled("x"), CancelReason.TIMEOUT, CancelReason.TIMEOUT),
        (Cancelled("elsewhere"), None, None),
        (Unavailable("x"), CancelReason.TOKEN, None),
        (None, CancelReason.TOKEN, None),
        (None, None, None),
    ],
)
def test_only_a_request_that_was_cancelled_here_says_by_what(
    error: Exception | None, ended: CancelReason | None, cancelled_by: CancelReason | None
) -> None:
    request = request_of()
    if ended:
        request.scope.end(ended)
    request.finish(error)
    assert request.cancelled_by is cancelled_by


def test_a_request_that_was_never_admitted_has_waited_all_its_time() -> None:
    request = request_of()
    time.sleep(0.01)
    request.finish(Unavailable("full"))
    assert request.waited == request.seconds >= 0.01


def test_of_two_time_limits_the_shorter_one_holds() -> None:
    request = request_of()
    for seconds in (None, 30.0, 10.0, 20.0, None):
        request.set_timeout(seconds)
    assert request.deadline == request.taken_at + 10


def test_a_request_is_over_when_its_deadline_has_passed() -> None:
    request_of(timeout=1000).check()
    request_of().check()
    late = request_of(timeout=0)
    with pytest.raises(Cancelled, match="timeout_ms has passed before the request was admitted"):
        late.check()
    late.admitted_at = late.taken_at
    with pytest.raises(Cancelled, match=r"timeout_ms has passed$"):
        late.check()
    assert late.scope.reason is CancelReason.TIMEOUT


async def _succeed() -> None:
    await asyncio.sleep(0)


async def _fail() -> None:
    raise TimeoutError("its own")


async def _hang() -> None:
    await asyncio.sleep(3600)


def run(request: Request[MemoryCall], work: str = "_hang") -> Exception | None:
    async def scenario() -> Exception | None:
        error = await request.run({"_hang": _hang, "_fail": _fail, "_succeed": _succeed}[work]())
        # what follows is not interrupted
        request.scope.end(CancelReason.CALLER)
        await asyncio.sleep(0.01)
        return error

    return asyncio.run(scenario())


def test_work_that_is_done_has_no_error_and_work_that_fails_its_own() -> None:
    assert run(request_of(), "_succeed") is None
    assert repr(run(request_of(timeout=1000), "_fail")) == "TimeoutError('its own')"


def test_work_ends_with_its_deadline_or_its_scope_and_the_error_says_so() -> None:
    assert repr(run(request_of(timeout=0.01))) == "Cancelled('timeout_ms has passed')"
    ended = request_of()
    ended.scope.end(CancelReason.TOKEN)
    assert repr(run(ended)) == "Cancelled('cancelled by its token')"
