"""What `python -m stress faults` found, evaluated and as figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from perf.figures.data import Column, Figures, Table, Value
from perf.figures.new import new_figures, span
from stress.endurance.callers import CallerKind
from stress.endurance.reconcile import UNACCEPTABLE, Request, Verdict, count_reasons, count_verdicts
from stress.endurance.recovery import Kill, Kind, Recovery, Window, find_recoveries, rate_outside, seconds_outside

TARGET_RATIO: Final = 0.9
"""Of the goodput without faults, outside recoveries: what one image costs must not depend on what died before."""

TABLES: Final = {
    "kills": Table(
        rows=("killed",),
        columns=(
            Column(title="killed", value="killed"),
            Column(title="times", value="times"),
            Column(title="recovery", value="recovery_seconds", format=".1f", unit=" s"),
            Column(title="what", value="what"),
        ),
    ),
    "requests": Table(
        rows=("caller",),
        columns=(
            Column(title="caller", value="caller"),
            Column(title="sent", value="sent", format=","),
            *(Column(title=verdict, value=verdict, format=",") for verdict in Verdict),
        ),
    ),
    "goodput": Table(
        rows=("goodput",),
        columns=(
            Column(title="goodput", value="goodput"),
            Column(title="right answers a second", value="answers_per_second", format=".2f"),
            Column(title="measured for", value="seconds", format=".0f", unit=" s"),
            Column(title=f"of it, at least {TARGET_RATIO}", value="of_baseline", format=".2f"),
        ),
    ),
    "reasons": Table(
        rows=("verdict", "reason"),
        columns=(
            Column(title="request", value="verdict"),
            Column(title="times", value="count"),
            Column(title="what the caller was told", value="reason"),
        ),
    ),
}


@dataclass(frozen=True)
class Run:
    """Everything that happened; `baseline` and `faulty` are the spans without and with faults.

    `trouble` says why a run ended early, `left` what the server left behind; `restarts` are those of Triton that no
    killed stub explains.
    """

    requests: Sequence[Request]
    kills: Sequence[Kill]
    baseline: Window
    faulty: Window
    least_kills: int
    trouble: str | None
    left: Sequence[str]
    restarts: int = 0


@dataclass(frozen=True)
class Goodput:
    """Right answers per second: without faults, and with them but outside recoveries."""

    baseline: float
    outside: float
    seconds_outside: float

    @property
    def ratio(self) -> float:
        """The second by the first."""
        return self.outside / self.baseline if self.baseline else 0.0


class Report:
    """A run, evaluated."""

    def __init__(self, run: Run) -> None:
        self.run = run
        answers = sorted(one.ended for one in run.requests if one.verdict is Verdict.ANSWERED and one.ended is not None)
        self.recoveries = find_recoveries(run.kills, answers)
        windows = [(one.kill.at, one.answered or run.faulty[1]) for one in self.recoveries]
        self.goodput = Goodput(
            rate_outside(answers, run.baseline, []),
            rate_outside(answers, run.faulty, windows),
            seconds_outside(run.faulty, windows),
        )
        self.verdicts = count_verdicts(run.requests)
        self.total: Counter[Verdict] = sum(self.verdicts.values(), Counter())
        self.kills = _count_kills(run)

    def failures(self) -> list[str]:
        """Why the run does not hold, empty where it does."""
        found = [self.run.trouble] if self.run.trouble else []
        found += [f"{self.total[verdict]} requests {verdict}" for verdict in UNACCEPTABLE if self.total[verdict]]
        if self.run.restarts:
            found.append(f"Triton was started again {self.run.restarts} times though no stub of it was killed")
        if self.goodput.ratio < TARGET_RATIO:
            found.append(f"goodput outside recoveries is {self.goodput.ratio:.2f} of that without faults")
        wanted = self.run.least_kills
        return found + [f"{self.kills[kind]} kills of kind {kind}" for kind in Kind if self.kills[kind] < wanted]

    def to_figures(self) -> Figures:
        """All figures; times of kills count from the beginning of the faults."""
        return new_figures(
            question="What becomes of requests when processes are killed at random under load?",
            rounds=1,
            conditions=f"Kills by SIGKILL. {'; '.join(self.failures()) or 'Everything holds'}.",
            measurements=[
                *map(self._kind_record, Kind),
                *self._request_records(),
                *self._goodput_records(),
                *self._reason_records(),
                *(_kill_record(recovery, self.run.faulty[0]) for recovery in self.recoveries),
                {"outcome": "starts of Triton that no killed stub explains", "count": self.run.restarts},
                {"outcome": "left behind", "count": len(self.run.left)},
            ],
            tables=TABLES,
        )

    def _kind_record(self, kind: Kind) -> dict[str, Value]:
        seconds = [one.seconds for one in self.recoveries if one.kill.kind is kind and one.seconds is not None]
        names = Counter(_model_of(kill) for kill in self.run.kills if kill.kind is kind)
        what = ", ".join(f"{name} {count}" for name, count in sorted(names.items()))
        return {
            "killed": str(kind),
            "times": self.kills[kind],
            "recovery_seconds": span(seconds) if seconds else None,
            "what": "in mid-request" if kind is Kind.CLIENT else what,
        }

    def _request_records(self) -> Iterator[dict[str, Value]]:
        callers: dict[str, Counter[Verdict]] = {caller: self.verdicts.get(caller, Counter()) for caller in CallerKind}
        for caller, counts in (callers | {"all": self.total}).items():
            yield {"caller": str(caller), "sent": counts.total(), **{str(one): counts[one] for one in Verdict}}

    def _goodput_records(self) -> Iterator[dict[str, Value]]:
        goodput, (began, ended) = self.goodput, self.run.baseline
        yield {"goodput": "without faults", "answers_per_second": goodput.baseline, "seconds": ended - began}
        yield {
            "goodput": "with faults, outside recoveries",
            "answers_per_second": goodput.outside,
            "seconds": goodput.seconds_outside,
            "of_baseline": goodput.ratio,
        }

    def _reason_records(self) -> Iterator[dict[str, Value]]:
        for (verdict, reason), count in count_reasons(self.run.requests).most_common():
            yield {"verdict": str(verdict), "reason": reason, "count": count}


def _count_kills(run: Run) -> Counter[Kind]:
    """Kills of each kind; of clients those that had requests in flight."""
    in_flight = {request.client for request in run.requests if request.verdict is Verdict.OF_KILLED}
    return Counter(kill.kind for kill in run.kills if kill.kind is not Kind.CLIENT or kill.what in in_flight)


def _model_of(kill: Kill) -> str:
    """A stub's model, an engine's process: what makes kills alike."""
    return kill.what.rstrip("0123456789_") if kill.kind is Kind.STUB else kill.what


def _kill_record(recovery: Recovery, start: float) -> dict[str, Value]:
    kill = recovery.kill
    return {
        "kind": str(kill.kind),
        "process": kill.what,
        "at_seconds": kill.at - start,
        "noticed_after_seconds": kill.noticed - kill.at,
        "ready_after_seconds": kill.ready - kill.at,
        "answered_after_seconds": recovery.seconds,
    }
