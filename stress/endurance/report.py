"""What `python -m stress faults` found: figures for a machine, tables for a person."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from stress.endurance.callers import CallerKind
from stress.endurance.reconcile import UNACCEPTABLE, Request, Verdict, count_reasons, count_verdicts
from stress.endurance.recovery import Kill, Kind, Recovery, Window, find_recoveries, rate_outside, seconds_outside

TARGET_RATIO: Final = 0.9
"""Of the goodput without faults, outside recoveries: what one image costs must not depend on what died before."""

_REASONS_SHOWN = 25


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

    def as_json(self) -> dict[str, Any]:
        """All figures; times of kills count from the beginning of the faults."""
        start = self.run.faulty[0]
        return {
            "failures": self.failures(),
            "kills": dict(self.kills),
            "verdicts": {caller: dict(counts) for caller, counts in self.verdicts.items()},
            "recovery_seconds": {kind: _spread(self._recovery_seconds(kind)) for kind in Kind},
            "goodput": {**asdict(self.goodput), "ratio": self.goodput.ratio},
            "seconds": {"baseline": self.run.baseline[1] - self.run.baseline[0], "faulty": self.run.faulty[1] - start},
            "reasons": [
                {"verdict": verdict, "reason": reason, "count": count}
                for (verdict, reason), count in count_reasons(self.run.requests).most_common()
            ],
            "every_kill": [_kill_figures(recovery, start) for recovery in self.recoveries],
            "unexplained_restarts": self.run.restarts,
            "left_behind": list(self.run.left),
        }

    def show(self, console: Console) -> None:
        """Print the tables."""
        console.print(self._kill_table(), self._request_table(), self._reason_table(), self._figure_table())
        for name in self.run.left:
            console.print(f"left behind: {name}", style="yellow", markup=False)
        for failure in self.failures():
            console.print(f"does not hold: {failure}", style="red", markup=False)

    def _recovery_seconds(self, kind: Kind) -> list[float]:
        return [one.seconds for one in self.recoveries if one.kill.kind is kind and one.seconds is not None]

    def _kill_table(self) -> Table:
        table = Table("killed", "times", "recovery, median", "recovery, worst", "what", title="kills by SIGKILL")
        for kind in Kind:
            seconds = self._recovery_seconds(kind)
            names = Counter(_model_of(kill) for kill in self.run.kills if kill.kind is kind)
            what = ", ".join(f"{name} {count}" for name, count in sorted(names.items()))
            times = (f"{median(seconds):.2f} s", f"{max(seconds):.2f} s") if seconds else ("", "")
            table.add_row(kind, str(self.kills[kind]), *times, "in mid-request" if kind is Kind.CLIENT else what)
        return table

    def _request_table(self) -> Table:
        table = Table("caller", "sent", *Verdict, title="requests")
        for caller in CallerKind:
            counts = self.verdicts.get(caller, Counter[Verdict]())
            table.add_row(caller, str(counts.total()), *(str(counts[verdict]) for verdict in Verdict))
        table.add_section()
        table.add_row("all", str(self.total.total()), *(str(self.total[verdict]) for verdict in Verdict))
        return table

    def _reason_table(self) -> Table:
        table = Table("", "times", "what the caller was told", title="refusals and failures")
        for (verdict, reason), count in count_reasons(self.run.requests).most_common(_REASONS_SHOWN):
            table.add_row(verdict, str(count), reason[:200])
        return table

    def _figure_table(self) -> Table:
        goodput, table = self.goodput, Table("goodput", "answers a second", "measured for", title="goodput")
        table.add_row(
            "without faults", f"{goodput.baseline:.2f}", f"{self.run.baseline[1] - self.run.baseline[0]:.0f} s"
        )
        table.add_row("with faults, outside recoveries", f"{goodput.outside:.2f}", f"{goodput.seconds_outside:.0f} s")
        table.add_row("ratio", f"{goodput.ratio:.3f}", f"target {TARGET_RATIO}")
        return table


def _count_kills(run: Run) -> Counter[Kind]:
    """Kills of each kind; of clients those that had requests in flight."""
    in_flight = {request.client for request in run.requests if request.verdict is Verdict.OF_KILLED}
    return Counter(kill.kind for kill in run.kills if kill.kind is not Kind.CLIENT or kill.what in in_flight)


def _model_of(kill: Kill) -> str:
    """A stub's model, an engine's process: what makes kills alike."""
    return kill.what.rstrip("0123456789_") if kill.kind is Kind.STUB else kill.what


def _spread(seconds: list[float]) -> dict[str, float | None]:
    return {"median": median(seconds) if seconds else None, "worst": max(seconds, default=None)}


def _kill_figures(recovery: Recovery, start: float) -> dict[str, Any]:
    kill = recovery.kill
    return {
        "kind": kill.kind,
        "what": kill.what,
        "at": kill.at - start,
        "noticed_after": kill.noticed - kill.at,
        "ready_after": kill.ready - kill.at,
        "answered_after": recovery.seconds,
    }
