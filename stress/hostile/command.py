"""Attack a real server and account for every good request meanwhile: `python -m stress hostile`."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console

from perf.figures.data import Column, Figures, Table, Value
from perf.figures.new import Output, keep, new_figures
from perf.harness.serve_process import Role, ServeProcess
from stress.console import make_console
from stress.endurance.images import draw_files, read_undisturbed
from stress.hostile import connections, content, gateway, malformed, resources
from stress.hostile.attack import Attack
from stress.hostile.attack_context import AttackContext
from stress.hostile.request_audit import AuditReport, Outcome, Recovery, RequestAudit, read_again

_TABLE: Final = Table(
    rows=("attack",),
    columns=(
        Column(title="attack", value="attack"),
        Column(title="what was sent", value="sent"),
        Column(title="what came back", value="answers"),
        Column(title="right after", value="right_after_seconds", format=".1f", unit=" s"),
        Column(title="started again", value="started_again"),
        Column(title="good requests meanwhile", value="good_requests"),
        Column(title="", value="verdict"),
    ),
)

Stage = Callable[[Path], AbstractContextManager[tuple[str, ...]]]
"""Prepares a folder for a server, and yields words before the server's command."""


def plain_server(_folder: Path) -> AbstractContextManager[tuple[str, ...]]:
    """Nothing is prepared."""
    return nullcontext(())


ATTACKS: Final = (*malformed.ATTACKS, *content.ATTACKS, *connections.ATTACKS, resources.MEMORY, *gateway.ATTACKS)
STAGES: Final[Mapping[Stage, tuple[Attack, ...]]] = {
    plain_server: ATTACKS,
    resources.small_disk: (resources.DISK,),
}
"""Servers, by what is prepared for them, and the attacks on each."""

_RECOVERY_SECONDS: Final = 600.0
"""Bounds a restart on a busy machine; the table has the seconds."""

_FAILURES: Final = ("--max-failures", "50")
"""A server that is ended on purpose must not give up over it."""


@dataclass(frozen=True)
class Result:
    """An attack, evaluated; `restarted` names what had to be started again."""

    attack: Attack
    came_back: Counter[str]
    seconds: float
    recovery: Recovery
    audit: AuditReport
    restarted: bool

    def faults(self) -> list[str]:
        """Why it does not hold, empty where it does."""
        found = self.attack.faults(self.came_back) + self.audit.faults(server_ended=self.restarted)
        if self.recovery.seconds is None:
            found.append("no good image was read afterwards")
        if self.restarted and not self.attack.ends_server:
            found.append("the server had to be started again")
        return found


def main(
    only: Annotated[list[str] | None, typer.Option(help="An attack by its name; repeatable, all unless given.")] = None,
    output: Output = None,
) -> None:
    """Start `ocrvl serve`, attack it, and read a good image after each attack.

    Exit status 1 where an attack was not answered as it should be, a good request was lost, answered wrongly or is not
    in the server's log just once, or no good image could be read afterwards.
    """
    console = make_console()
    names = [attack.name for attacks in STAGES.values() for attack in attacks]
    if unknown := [name for name in only or () if name not in names]:
        raise typer.BadParameter(f"expected {', '.join(names)}, found {unknown[0]!r}", param_hint="--only")
    folder = Path(tempfile.mkdtemp(prefix="ocrvl-hostile-"))
    results: list[Result] = []
    faults: list[str] = []
    for number, (prepare, attacks) in enumerate(STAGES.items()):
        chosen = [attack for attack in attacks if _is_run(console, attack, only)]
        try:
            if chosen:
                results += _run_stage(console, folder / str(number), prepare, chosen)
        except RuntimeError as error:
            console.print(str(error), style="red", markup=False)
            faults.append(f"{', '.join(attack.name for attack in chosen)}: the server failed, see above")
    keep("hostile", to_figures(results), console, output=output)
    faults += [f"{result.attack.name}: {fault}" for result in results for fault in result.faults()]
    for fault in faults:
        console.print(f"does not hold: {fault}", style="red", markup=False)
    if faults:
        console.print(f"logs are in {folder}")
        raise typer.Exit(1)
    shutil.rmtree(folder)


def _is_run(console: Console, attack: Attack, only: list[str] | None) -> bool:
    if only and attack.name not in only:
        return False
    if why_not := resources.why_not_run(attack):
        console.print(f"{attack.name}: not run, {why_not}", style="yellow", markup=False)
    return not why_not


def _run_stage(console: Console, folder: Path, prepare: Stage, attacks: list[Attack]) -> list[Result]:
    folder.mkdir()
    with prepare(folder) as prefix:
        console.print("starting a server")
        with ServeProcess(folder, _FAILURES, prefix) as server:
            return _attack_all(console, server, folder, attacks)


def _attack_all(console: Console, server: ServeProcess, folder: Path, attacks: list[Attack]) -> list[Result]:
    image = read_undisturbed(server.endpoints.grpc, draw_files(0, 1, 0))[0]
    context = AttackContext(server.endpoints, image, folder, server.members)
    results = []
    with RequestAudit(server.endpoints.grpc, image, folder / "serve.log") as audit:
        for attack in attacks:
            before, began = _server_pid(server), time.monotonic()
            came_back = attack.run(context)
            seconds = time.monotonic() - began
            recovery = read_again(server.endpoints.grpc, image, _RECOVERY_SECONDS)
            restarted = _server_pid(server) != before
            audit.wait_for_answers(_RECOVERY_SECONDS)
            # a server that crashes takes the lines with it that it has not written yet
            report = audit.report(with_log=attack.keeps_log and not restarted)
            results.append(Result(attack, came_back, seconds, recovery, report, restarted))
            faults = "; ".join(results[-1].faults()) or "holds"
            console.print(f"{attack.name}: {_counts(came_back)}; {faults}", markup=False)
    return results


def _server_pid(server: ServeProcess) -> int | None:
    return next((member.process.pid for member in server.members() if member.role is Role.TRITON), None)


def to_figures(results: Sequence[Result]) -> Figures:
    """A record for each attack, and one for all."""
    outcomes = sum((result.audit.outcomes for result in results), Counter[Outcome]())
    total = {"attack": "all", "answers": str(sum(map(_answers, results))), "good_requests": _counts(outcomes)}
    return new_figures(
        question="What comes back from attacks on a server, and what do good requests feel of them?",
        rounds=1,
        conditions="Right after is the time from the end of the attack to the right text of a good image.",
        measurements=[*map(_record, results), total],
        tables={"attacks": _TABLE},
    )


def _answers(result: Result) -> int:
    """How many came back; of what is said `at most` the number is no count."""
    return sum(count for answer, count in result.came_back.items() if not answer.endswith("at most"))


def _counts(counts: Counter[Any]) -> str:
    return ", ".join(f"{count} × {name}" for name, count in counts.most_common())


def _record(result: Result) -> dict[str, Value]:
    return {
        "attack": result.attack.name,
        "sent": result.attack.sent,
        "answers": _counts(result.came_back),
        "seconds": result.seconds,
        "right_after_seconds": result.recovery.seconds,
        "started_again": "yes" if result.restarted else "no",
        "good_requests": _counts(result.audit.outcomes),
        "unmatched_ids": ", ".join(result.audit.unmatched),
        "verdict": "; ".join(result.faults()) or "holds",
    }
