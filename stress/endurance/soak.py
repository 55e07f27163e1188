"""Many requests of every kind, and what the server's processes grow by: `python -m stress soak`."""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from random import Random
from typing import Annotated, Final

import typer
from rich.console import Console

from perf.figures.data import Column, Figures, Table, Value
from perf.figures.new import Output, keep, new_figures
from perf.harness.repository import copy_repository
from perf.harness.serve_process import ServeProcess
from stress.console import make_console
from stress.endurance.images import draw_files, read_undisturbed
from stress.endurance.memory import MAX_GROWTH, Growth, Memory, compare, read_memory
from stress.endurance.request_kinds import Plan, RequestKind, Runner, plan_requests

_IDLE_SECONDS = 60.0
_PROBLEMS_SHOWN = 20

_KV_BLOCKS = 256
"""Of 128 tokens each. Memory that was reserved counts as resident when it is first written to, and vLLM uses the
blocks of its KV cache in turn: these few have all been used after a tenth of the requests. The gibibyte that the
engine takes by default would go on filling, and hide growth under its own."""

_TABLES: Final = {
    "requests": Table(
        rows=("requests",),
        columns=(
            Column(title="requests", value="requests"),
            Column(title="sent", value="sent", format=","),
            Column(title="right outcome", value="right", format=","),
        ),
    ),
    "memory": Table(
        rows=("process",),
        columns=(
            Column(title="process", value="process"),
            Column(title="at 10 %", value="at_10_percent_mib", format=".1f", unit=" MiB"),
            Column(title="at 100 %", value="at_100_percent_mib", format=".1f", unit=" MiB"),
            Column(title="growth", value="growth", format="+.1%"),
            Column(title="", value="verdict"),
        ),
    ),
}

Outcomes = list[tuple[RequestKind, str | None]]


def main(
    requests: Annotated[int, typer.Option(min=100, help="How many, in all.")] = 2000,
    in_flight: Annotated[int, typer.Option(min=1, help="How many at a time.")] = 24,
    seed: Annotated[int, typer.Option(help="Of images and requests.")] = 0,
    only: Annotated[list[RequestKind] | None, typer.Option(help="Kinds of requests; all unless given.")] = None,
    output: Output = None,
) -> None:
    """Start `ocrvl serve`, send it requests of every kind, and compare its memory at 10 % and at 100 % of them.

    Exit status 1 where a process grew by more than 5 %, was started again, or a request had another outcome than it
    should have had.
    """
    console = make_console()
    folder = Path(tempfile.mkdtemp(prefix="ocrvl-soak-"))
    try:
        console.print("starting the server")
        repository = copy_repository(folder / "repository", engine_args={"num_gpu_blocks_override": _KV_BLOCKS})
        with ServeProcess(folder, ("--model-repository", str(repository))) as server:
            images = read_undisturbed(server.endpoints.grpc, draw_files(seed, 40, 20))
            plans = plan_requests(images, requests, Random(seed), only or tuple(RequestKind))
            outcomes, before = _send(console, server, plans[: requests // 10], in_flight)
            more, after = _send(console, server, plans[requests // 10 :], in_flight)
    except RuntimeError as error:
        console.print(str(error), style="red", markup=False)
        raise typer.Exit(1) from None
    outcomes += more
    growths = compare(before, after)
    keep("soak", to_figures(outcomes, growths, before, after), console, output=output)
    problems = [f"{kind}: {problem}" for kind, problem in outcomes if problem]
    for problem in problems[:_PROBLEMS_SHOWN]:
        console.print(f"does not hold: {problem}", style="red", markup=False)
    if problems or not all(growth.holds for growth in growths):
        console.print(f"logs are in {folder}")
        raise typer.Exit(1)
    shutil.rmtree(folder)


def _send(console: Console, server: ServeProcess, plans: Sequence[Plan], in_flight: int) -> tuple[Outcomes, Memory]:
    """Send these requests, and read the memory when the server has nothing to do any more."""
    began = time.monotonic()
    with ExitStack() as runners, ThreadPoolExecutor(in_flight) as pool:
        local = threading.local()

        def run(plan: Plan) -> tuple[RequestKind, str | None]:
            if not hasattr(local, "runner"):
                local.runner = runners.enter_context(Runner(server.endpoints))
            return plan.kind, local.runner.run(plan)

        outcomes = list(pool.map(run, plans))
    console.print(f"{len(plans)} requests in {time.monotonic() - began:.0f} s")
    deadline = time.monotonic() + _IDLE_SECONDS
    while server.images_in_flight() > 0:
        if time.monotonic() > deadline:
            raise RuntimeError("images are still in flight though no request is")
        time.sleep(1)
    return outcomes, read_memory(server.members())


def to_figures(outcomes: Outcomes, growths: Sequence[Growth], before: Memory, after: Memory) -> Figures:
    """A record for each kind of request, for each process, and for each problem."""
    problems: list[Mapping[str, Value]] = [
        {"problem": problem, "request": str(kind)} for kind, problem in outcomes if problem
    ]
    return new_figures(
        question="What do the server's processes grow by over many requests?",
        rounds=1,
        conditions=f"Resident memory without what is shared, at most {MAX_GROWTH:.0%} more.",
        measurements=[*_request_records(outcomes), *map(_growth_record, growths), _shared(before, after), *problems],
        tables=_TABLES,
    )


def _request_records(outcomes: Outcomes) -> list[Mapping[str, Value]]:
    sent, right = Counter(kind for kind, _ in outcomes), Counter(kind for kind, wrong in outcomes if not wrong)
    each: list[Mapping[str, Value]] = [
        {"requests": str(kind), "sent": sent[kind], "right": right[kind]} for kind in RequestKind
    ]
    return [*each, {"requests": "all", "sent": sent.total(), "right": right.total()}]


def _growth_record(growth: Growth) -> dict[str, Value]:
    verdict = "holds" if growth.holds else "was started again" if growth.share is None else "grew"
    return {
        "process": f"{growth.process.name} ({growth.process.pid})",
        "at_10_percent_mib": None if growth.before is None else growth.before / 2**20,
        "at_100_percent_mib": None if growth.after is None else growth.after / 2**20,
        "growth": growth.share,
        "verdict": verdict,
    }


def _shared(before: Memory, after: Memory) -> dict[str, Value]:
    return {
        "process": "its regions in /dev/shm",
        "at_10_percent_mib": before.shared / 2**20,
        "at_100_percent_mib": after.shared / 2**20,
    }
