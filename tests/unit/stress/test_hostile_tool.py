"""`stress.hostile`: what it lets pass and what it does not."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from typer.testing import CliRunner

from perf.figures.table import render
from stress.__main__ import app
from stress.endurance.images import ReferenceImage
from stress.hostile.attack import Attack
from stress.hostile.command import STAGES, Result, to_figures
from stress.hostile.request_audit import AuditReport, Outcome, Recovery, RequestAudit

ANSWERED = Attack("a", "", lambda _context: Counter())
SILENT = Attack("b", "", lambda _context: Counter(), is_answered=False)
DEADLY = Attack("c", "", lambda _context: Counter(), ends_server=True)
PICKY = Attack("d", "", lambda _context: Counter(), allows="40[14]")
GOOD = AuditReport(Counter({Outcome.RIGHT: 3, Outcome.REFUSED: 1}))


def result(attack: Attack = ANSWERED, came_back: str = "400 INVALID_ARG", **changed: object) -> Result:
    values = {"seconds": 1.0, "recovery": Recovery(0.2), "audit": GOOD, "restarted": False, **changed}
    return Result(attack, Counter([came_back]), **values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "one",
    [
        *(
            result(),
            result(PICKY, "401"),
            result(came_back="INTERNAL"),
            result(SILENT, "closed"),
            result(DEADLY, "closed"),
        ),
        result(DEADLY, restarted=True, audit=AuditReport(Counter({Outcome.BROKEN: 2}))),
    ],
)
def test_what_holds(one: Result) -> None:
    assert one.faults() == []


@pytest.mark.parametrize(
    ("one", "fault"),
    [
        (result(came_back="no answer"), "1 times 'no answer'"),
        (result(came_back="closed"), "1 times 'closed'"),
        (result(PICKY, "200"), "1 times '200'"),
        (result(came_back="500 INTERNAL"), "1 times '500 INTERNAL'"),
        (result(recovery=Recovery()), "no good image was read afterwards"),
        (result(restarted=True), "the server had to be started again"),
        (result(audit=AuditReport(Counter({Outcome.BROKEN: 2}))), "2 good requests: connection broke"),
        (result(DEADLY, restarted=True, audit=AuditReport(Counter({Outcome.WRONG: 1}))), "1 good requests: wrong text"),
        (result(audit=AuditReport(Counter({Outcome.LOST: 1}))), "1 good requests: no answer"),
        (result(audit=AuditReport(Counter(), ("witness-0-1",))), "1 ids do not reconcile"),
    ],
)
def test_what_does_not_hold(one: Result, fault: str) -> None:
    assert one.faults() == [fault]


def test_an_answer_that_the_log_does_not_have_just_once_does_not_reconcile(tmp_path: Path) -> None:
    log = tmp_path / "serve.log"
    log.write_text("".join(f'"request request_id=witness-0-{number} outcome=ok "\n' for number in (0, 1, 1)))
    audit = RequestAudit("nowhere:1", ReferenceImage("", b"", ""), log, log_seconds=0.0)
    audit._outcomes |= {f"witness-0-{number}": Outcome.RIGHT for number in range(3)}
    assert audit.report().unmatched == ("witness-0-1", "witness-0-2")
    assert audit.report() == AuditReport(Counter())


def test_every_attack_has_a_name_of_its_own() -> None:
    names = [attack.name for attacks in STAGES.values() for attack in attacks]
    assert len(names) == len(set(names))


def test_attacks_become_figures_with_what_does_not_hold() -> None:
    figures = to_figures([result(), result(DEADLY, "closed", restarted=True, recovery=Recovery())])
    assert [one["verdict"] for one in figures.measurements if "verdict" in one] == [
        "holds",
        "no good image was read afterwards",
    ]
    assert figures.number("right_after_seconds", attack="a") == 0.2
    assert [one["good_requests"] for one in figures.find(attack="all")] == ["6 \u00d7 right, 2 \u00d7 refused"]
    assert len(render(figures, figures.tables["attacks"], "x").splitlines()) == 7


def test_an_attack_that_does_not_exist_is_refused_with_those_that_do() -> None:
    done = CliRunner().invoke(app, ["hostile", "--only", "sleep"], env={"COLUMNS": "400"})
    assert done.exit_code == 2
    assert "deep JSON" in done.output
    assert "found 'sleep'" in done.output
