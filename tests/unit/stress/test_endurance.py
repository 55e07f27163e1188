from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from ocrvl_client import InvalidRequest, RequestCancelled, RequestTimeout, ServerError, ServerUnavailable
from perf.figures.data import Value
from perf.figures.table import render
from perf.harness.serve_process import Role, classify
from stress.endurance import documents, soak
from stress.endurance.callers import CallerKind, Outcome, outcome_of
from stress.endurance.chaos import choose_kind
from stress.endurance.client_pool import share_callers
from stress.endurance.images import ReferenceImage
from stress.endurance.journal import Closed, Ended, Event, Journal, Sent, encode_event, read_events
from stress.endurance.memory import Memory, Process, compare
from stress.endurance.reconcile import (
    Client,
    JournalBroken,
    Request,
    Verdict,
    count_reasons,
    count_verdicts,
    judge,
    reconcile,
)
from stress.endurance.recovery import Kill, Kind, find_recoveries, rate_outside, seconds_outside
from stress.endurance.report import Report, Run
from stress.endurance.request_kinds import RequestKind, plan_requests

DEADLINE = 130.0
ALIVE = Client("client0", Path("client0.jsonl"))
KILLED = Client("client1", Path("client1.jsonl"), killed_at=50.0)


def sent(at: float = 1.0, name: str = "a", caller: CallerKind = CallerKind.GRPC) -> Sent:
    return Sent(name, at, caller, "line 3")


def verdict(client: Client, *events: Event) -> Verdict:
    (request,) = reconcile(client, events, DEADLINE)
    return request.verdict


def test_events_come_back_as_they_were_written(tmp_path: Path) -> None:
    events: list[Event] = [
        sent(caller=CallerKind.STREAM),
        Ended("a", 2.5, Outcome.WRONG, "two\nlines, and ünicode"),
        Closed(9.0),
    ]
    journal = Journal(tmp_path / "journal")
    for event in events:
        journal.write(event)
    assert list(read_events((tmp_path / "journal").read_bytes())) == events


def test_a_line_that_a_killed_client_did_not_finish_is_left_out() -> None:
    text = encode_event(sent()) + encode_event(Ended("a", 2.0, Outcome.RIGHT))[:20]
    assert list(read_events(text)) == [sent()]


@pytest.mark.parametrize(
    ("client", "events", "expected"),
    [
        (ALIVE, (sent(), Ended("a", 2.0, Outcome.RIGHT), Closed(9.0)), Verdict.ANSWERED),
        (ALIVE, (sent(), Ended("a", 2.0, Outcome.WRONG, "tea"), Closed(9.0)), Verdict.WRONG),
        # an outcome after the deadline and its grace came too late, whatever it was
        (ALIVE, (sent(), Ended("a", 1.5 + DEADLINE, Outcome.RIGHT), Closed(200.0)), Verdict.HUNG),
        (ALIVE, (sent(), Closed(1.0 + DEADLINE)), Verdict.HUNG),
        (ALIVE, (sent(), Closed(20.0)), Verdict.LOST),
        # neither killed nor closed: the client ended by itself, and that is no excuse
        (ALIVE, (sent(),), Verdict.LOST),
        (Client("client2", Path("x"), seen_until=1.0 + DEADLINE), (sent(),), Verdict.HUNG),
        (KILLED, (sent(),), Verdict.OF_KILLED),
        (KILLED, (sent(), Ended("a", 2.0, Outcome.RIGHT)), Verdict.ANSWERED),
    ],
)
def test_each_request_has_one_verdict(client: Client, events: tuple[Event, ...], expected: Verdict) -> None:
    assert verdict(client, *events) is expected


@pytest.mark.parametrize(
    "events",
    [
        (sent(), sent()),
        (Ended("a", 2.0, Outcome.RIGHT),),
        (sent(), Ended("a", 2.0, Outcome.RIGHT), Ended("a", 3.0, Outcome.RIGHT)),
    ],
)
def test_a_journal_that_contradicts_itself_is_not_counted(events: tuple[Event, ...]) -> None:
    with pytest.raises(JournalBroken, match="a"):
        reconcile(ALIVE, events, DEADLINE)


@pytest.mark.parametrize(
    ("caller", "outcome", "seconds", "expected"),
    [
        (CallerKind.GRPC_ONCE, Outcome.UNAVAILABLE, 0.1, Verdict.REFUSED),
        (CallerKind.STREAM, Outcome.UNAVAILABLE, 0.1, Verdict.REFUSED),
        # it was in progress when the server went
        (CallerKind.STREAM, Outcome.UNAVAILABLE, 12.0, Verdict.FAILED),
        # a caller that asks again is not refused at once
        (CallerKind.HTTP, Outcome.UNAVAILABLE, 0.1, Verdict.FAILED),
        (CallerKind.GRPC, Outcome.TIMEOUT, 120.0, Verdict.FAILED),
        (CallerKind.GRPC, Outcome.CANCELLED, 0.1, Verdict.FAILED),
        (CallerKind.GRPC, Outcome.SERVER_ERROR, 0.1, Verdict.UNCLEAR),
        (CallerKind.GRPC, Outcome.INVALID, 0.1, Verdict.UNCLEAR),
        (CallerKind.HTTP_ONCE, Outcome.FOREIGN, 0.1, Verdict.UNCLEAR),
    ],
)
def test_only_what_tells_the_caller_what_happened_is_clear(
    caller: CallerKind, outcome: Outcome, seconds: float, expected: Verdict
) -> None:
    assert judge(caller, outcome, seconds) is expected


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (RequestTimeout("x"), Outcome.TIMEOUT),
        (ServerUnavailable("x"), Outcome.UNAVAILABLE),
        (RequestCancelled("x"), Outcome.CANCELLED),
        (InvalidRequest("x"), Outcome.INVALID),
        (ServerError("x"), Outcome.SERVER_ERROR),
        (OSError("x"), Outcome.FOREIGN),
    ],
)
def test_errors_end_as_what_they_are(error: Exception, expected: Outcome) -> None:
    assert outcome_of(error) is expected


def test_reasons_are_counted_without_what_differs_from_case_to_case() -> None:
    events: list[Sent | Ended | Closed] = [
        *(sent(1.0, "a", CallerKind.STREAM), Ended("a", 1.1, Outcome.UNAVAILABLE, "no server at 127.0.0.1:4001")),
        *(sent(2.0, "b", CallerKind.STREAM), Ended("b", 2.1, Outcome.UNAVAILABLE, "no server at 127.0.0.1:5002")),
        *(sent(3.0, "c", CallerKind.STREAM), Ended("c", 3.1, Outcome.RIGHT)),
    ]
    requests = reconcile(ALIVE, events, DEADLINE)
    assert count_reasons(requests) == {(Verdict.REFUSED, "unavailable: no server at HOST"): 2}
    assert count_verdicts(requests) == {CallerKind.STREAM: {Verdict.REFUSED: 2, Verdict.ANSWERED: 1}}


def kill(kind: Kind, at: float, ready: float, what: str = "x") -> Kill:
    return Kill(kind, what, at, at + 1, ready)


def test_a_recovery_ends_with_the_first_answer_after_the_server_is_ready() -> None:
    (recovery,) = find_recoveries([kill(Kind.STUB, 10.0, 40.0)], [9.0, 11.0, 39.0, 41.5, 42.0])
    assert recovery.answered == 41.5
    assert recovery.seconds == 31.5


def test_a_kill_that_nothing_was_answered_after_has_not_recovered() -> None:
    (recovery,) = find_recoveries([kill(Kind.ENGINE, 10.0, 40.0)], [9.0, 11.0])
    assert recovery.seconds is None


def test_a_client_killed_while_the_server_is_down_is_not_timed() -> None:
    kills = [kill(Kind.STUB, 10.0, 40.0), kill(Kind.CLIENT, 20.0, 20.0), kill(Kind.CLIENT, 50.0, 50.0)]
    found = find_recoveries(kills, [41.0, 50.5])
    assert [(one.kill.kind, one.seconds) for one in found] == [(Kind.STUB, 31.0), (Kind.CLIENT, 0.5)]


def test_goodput_counts_neither_answers_nor_seconds_of_recoveries() -> None:
    answers = [float(second) for second in range(100)]
    windows = [(90.0, 120.0), (10.0, 30.0), (20.0, 40.0)]
    assert seconds_outside((0.0, 100.0), windows) == 60.0
    assert rate_outside(answers, (0.0, 100.0), windows) == 1.0


def test_nothing_outside_recoveries_is_no_goodput() -> None:
    assert rate_outside([1.0, 2.0], (0.0, 10.0), [(0.0, 20.0)]) == 0.0


def requests_of(client: str, caller: CallerKind, verdict: Verdict, times: list[float]) -> list[Request]:
    return [
        Request(f"{client}-{time}", client, caller, "line 0", time - 0.5, time, Outcome.RIGHT, verdict, "")
        for time in times
    ]


def steady_run(*, faulty_rate: float = 1.0, extra: tuple[Request, ...] = (), wanted: int = 1) -> Run:
    """100 s without faults at an answer a second, 100 s with one kill of each kind."""
    answers = [float(second) for second in range(100)]
    answers += [100.0 + second / faulty_rate for second in range(int(100 * faulty_rate))]
    kills = [
        kill(Kind.ENGINE, 110.0, 120.0, "EngineCore"),
        kill(Kind.STUB, 140.0, 160.0, "ocr_stream_0_1"),
        Kill(Kind.CLIENT, "client1", 170.0, 170.0, 170.0),
    ]
    open_request = Request("k", "client1", CallerKind.GRPC, "line 0", 169.0, None, None, Verdict.OF_KILLED, "")
    requests = [*requests_of("client0", CallerKind.GRPC, Verdict.ANSWERED, answers), open_request, *extra]
    return Run(requests, kills, (0.0, 100.0), (100.0, 200.0), wanted, None, ())


def test_a_run_with_every_request_accounted_for_holds() -> None:
    report = Report(steady_run())
    assert report.failures() == []
    assert report.goodput.ratio == pytest.approx(1.0, abs=0.05)
    assert report.kills == {Kind.ENGINE: 1, Kind.STUB: 1, Kind.CLIENT: 1}


def test_a_run_becomes_figures_with_every_kill_and_every_caller() -> None:
    report = Report(steady_run(extra=tuple(requests_of("client0", CallerKind.HTTP, Verdict.LOST, [150.0]))))
    figures = report.to_figures()
    assert figures.conditions == "Kills by SIGKILL. 1 requests lost."
    assert figures.number("recovery_seconds", killed="engine") == 11
    assert figures.number("ready_after_seconds", process="EngineCore") == 10
    assert figures.number("lost", caller=CallerKind.HTTP) == figures.number("lost", caller="all") == 1
    assert figures.number("of_baseline", goodput="with faults, outside recoveries") == pytest.approx(1, abs=0.05)
    tables = [render(figures, table, "x") for table in figures.tables.values()]
    assert "| engine | 1 | 11.0 s (11.0 to 11.0) |" in tables[0]


def test_memory_and_outcomes_become_figures() -> None:
    steady, grown, gone = (Process(name, pid) for name, pid in (("a", 1), ("b", 2), ("c", 3)))
    before = Memory({steady: 1 << 20, grown: 1 << 20, gone: 1 << 20}, shared=1 << 20)
    after = Memory({steady: 1 << 20, grown: 2 << 20}, shared=2 << 20)
    outcomes = [(RequestKind.STREAM, None), (RequestKind.STREAM, "tea")]
    figures = soak.to_figures(outcomes, compare(before, after), before, after)
    assert [one["verdict"] for one in figures.measurements if "verdict" in one] == [
        "holds",
        "grew",
        "was started again",
    ]
    assert figures.number("growth", process="b (2)") == 1
    assert (figures.number("sent", requests="all"), figures.number("right", requests="all")) == (2, 1)
    assert [dict(one) for one in figures.measurements if "problem" in one] == [
        {"problem": "tea", "request": "a stream"}
    ]


def test_documents_become_figures() -> None:
    record: dict[str, Value] = {"document": "a.pdf", "pages": 2, "of": 3, "pages_per_second": 1 / 3}
    figures = documents.to_figures([record], 8)
    assert figures.number("pages_per_second", document="a.pdf") == 0.3333
    assert "| a.pdf | 2 | 3 |" in render(figures, figures.tables["documents"], "x")


@pytest.mark.parametrize("bad", [Verdict.LOST, Verdict.HUNG, Verdict.WRONG, Verdict.UNCLEAR])
def test_one_request_that_must_not_be_fails_the_run(bad: Verdict) -> None:
    extra = tuple(requests_of("client0", CallerKind.HTTP, bad, [150.0]))
    assert Report(steady_run(extra=extra)).failures() == [f"1 requests {bad}"]


def test_a_restart_that_no_killed_stub_explains_fails_the_run() -> None:
    (failure,) = Report(replace(steady_run(), restarts=1)).failures()
    assert failure == "Triton was started again 1 times though no stub of it was killed"


def test_a_document_is_held_against_its_markdown_and_everything_else_against_the_text() -> None:
    image = ReferenceImage("line 0", b"x", "Tea", "## Tea")
    assert {caller: caller.expected_text(image) for caller in CallerKind} == {
        caller: "## Tea" if caller is CallerKind.DOCUMENT else "Tea" for caller in CallerKind
    }


def test_goodput_that_stays_low_after_recoveries_fails_the_run() -> None:
    (failure,) = Report(steady_run(faulty_rate=0.8)).failures()
    assert "goodput outside recoveries is 0.8" in failure


def test_too_few_kills_fail_the_run_for_each_kind() -> None:
    assert len(Report(steady_run(wanted=2)).failures()) == len(Kind)


def test_a_client_that_was_idle_when_it_was_killed_does_not_count() -> None:
    run = steady_run()
    answered = [request for request in run.requests if request.verdict is Verdict.ANSWERED]
    idle = Run(answered, run.kills, run.baseline, run.faulty, run.least_kills, run.trouble, run.left)
    assert Report(idle).failures() == ["0 kills of kind client"]


def test_a_server_that_did_not_come_back_fails_the_run() -> None:
    run = steady_run()
    gone = Run(run.requests, run.kills, run.baseline, run.faulty, run.least_kills, "it did not come back", run.left)
    assert Report(gone).failures() == ["it did not come back"]


def test_what_was_not_killed_often_enough_is_killed_next() -> None:
    random = Random(0)
    assert {choose_kind(random, [Kind.STUB, Kind.CLIENT]) for _ in range(50)} == {Kind.STUB}
    assert {choose_kind(random, [Kind.CLIENT]) for _ in range(50)} == {Kind.CLIENT}
    assert {choose_kind(random, []) for _ in range(50)} == {Kind.ENGINE, Kind.STUB}


@pytest.mark.parametrize("in_flight", [10, 20, 23])
def test_all_clients_together_have_so_many_requests_in_flight_of_every_kind(in_flight: int) -> None:
    shares = share_callers(4, in_flight)
    callers = Counter(caller for share in shares for caller in share)
    assert callers.total() == in_flight
    assert set(callers) == set(CallerKind)
    assert all(shares)


STUB = "/b/triton_python_backend_stub"


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("tritonserver", ["/t/bin/tritonserver", "--http-port=1"], (Role.TRITON, "tritonserver")),
        ("triton_python_b", [STUB, "/r/cancel/1/model.py", "shm", "cancel_0_0"], (Role.STUB, "cancel_0_0")),
        ("VLLM::Worker", ["VLLM::Worker"], (Role.ENGINE, "Worker")),
        # a process that is about to be an engine's worker has not its title yet
        ("python3", ["python3", "-c", "from multiprocessing.spawn import spawn_main"], (Role.HELPER, "python3")),
        ("bash", [], (Role.HELPER, "bash")),
    ],
)
def test_processes_are_told_apart_by_their_command_lines(
    name: str, arguments: list[str], expected: tuple[Role, str]
) -> None:
    assert classify(name, arguments) == expected


def test_a_process_holds_if_it_is_the_same_and_grew_by_no_more_than_a_twentieth() -> None:
    steady, grown, restarted, again = (Process(name, pid) for name, pid in (("a", 1), ("b", 2), ("c", 3), ("c", 4)))
    before = Memory({steady: 1000, grown: 900, restarted: 800}, shared=0)
    after = Memory({steady: 1049, grown: 946, again: 800}, shared=0)
    growths = {growth.process: growth.holds for growth in compare(before, after)}
    assert growths == {steady: True, grown: False, restarted: False, again: False}


def test_requests_are_of_every_kind_and_the_same_for_the_same_seed() -> None:
    images = [ReferenceImage(f"line {number}", b"x", "x") for number in range(5)]
    plans = plan_requests(images, 300, Random(7))
    assert plans == plan_requests(images, 300, Random(7))
    assert {plan.kind for plan in plans} == set(RequestKind)
    assert all(len(plan.images) == 1 for plan in plans if plan.kind is RequestKind.CANCELLED)
    assert all(len(plan.images) > 1 for plan in plans if plan.kind is RequestKind.SEVERAL)


def test_requests_may_be_of_some_kinds_alone() -> None:
    images = [ReferenceImage("line", b"x", "x")]
    plans = plan_requests(images, 100, Random(7), {RequestKind.STREAM, RequestKind.BAD})
    assert {plan.kind for plan in plans} == {RequestKind.STREAM, RequestKind.BAD}
