"""Many requests of every kind, and what the server's processes grow by: `python -m stress soak`."""

from __future__ import annotations

import json
import shutil
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from random import Random
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from perf.harness.repository import copy_repository
from perf.harness.serve_process import ServeProcess
from stress.endurance.images import draw_files, read_undisturbed
from stress.endurance.memory import MAX_GROWTH, Growth, Memory, compare, read_memory
from stress.endurance.request_kinds import Plan, RequestKind, Runner, plan_requests

_IDLE_SECONDS = 60.0
_PROBLEMS_SHOWN = 20

_KV_BLOCKS = 256
"""Of 128 tokens each. Memory that was reserved counts as resident when it is first written to, and vLLM uses the
blocks of its KV cache in turn: these few have all been used after a tenth of the requests. The gibibyte that the
engine takes by default would go on filling, and hide growth under its own."""

Outcomes = list[tuple[RequestKind, str | None]]


def main(
    requests: Annotated[int, typer.Option(min=100, help="How many, in all.")] = 2000,
    in_flight: Annotated[int, typer.Option(min=1, help="How many at a time.")] = 24,
    seed: Annotated[int, typer.Option(help="Of images and requests.")] = 0,
    only: Annotated[list[RequestKind] | None, typer.Option(help="Kinds of requests; all unless given.")] = None,
    report: Annotated[Path | None, typer.Option(help="A JSON file for all the figures.")] = None,
) -> None:
    """Start `ocrvl serve`, send it requests of every kind, and compare its memory at 10 % and at 100 % of them.

    Exit status 1 where a process grew by more than 5 %, was started again, or a request had another outcome than it
    should have had.
    """
    console = Console(highlight=False, soft_wrap=True)
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
    console.print(_outcome_table(outcomes), _memory_table(growths, before, after))
    problems = [f"{kind}: {problem}" for kind, problem in outcomes if problem]
    for problem in problems[:_PROBLEMS_SHOWN]:
        console.print(f"does not hold: {problem}", style="red", markup=False)
    if report:
        report.write_text(json.dumps(_as_json(outcomes, growths, before, after), indent=2), "utf-8")
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


def _outcome_table(outcomes: Outcomes) -> Table:
    table = Table("requests", "sent", "right outcome", title="requests")
    sent, right = Counter(kind for kind, _ in outcomes), Counter(kind for kind, wrong in outcomes if not wrong)
    for kind in RequestKind:
        table.add_row(kind, str(sent[kind]), str(right[kind]))
    table.add_section()
    table.add_row("all", str(sent.total()), str(right.total()))
    return table


def _memory_table(growths: Sequence[Growth], before: Memory, after: Memory) -> Table:
    table = Table(
        "process",
        "at 10 %",
        "at 100 %",
        "growth",
        "",
        title=f"resident memory without what is shared, at most {MAX_GROWTH:.0%} more",
    )
    for growth in growths:
        share = "" if growth.share is None else f"{growth.share:+.1%}"
        mark = "[green]holds" if growth.holds else "[red]grew" if share else "[red]was started again"
        name = f"{growth.process.name} ({growth.process.pid})"
        table.add_row(name, _mebibytes(growth.before), _mebibytes(growth.after), share, mark)
    table.add_section()
    table.add_row("its regions in /dev/shm", _mebibytes(before.shared), _mebibytes(after.shared), "", "")
    return table


def _mebibytes(count: int | None) -> str:
    return "" if count is None else f"{count / 2**20:.1f} MiB"


def _as_json(outcomes: Outcomes, growths: Sequence[Growth], before: Memory, after: Memory) -> dict[str, object]:
    return {
        "requests": dict(Counter(kind for kind, _ in outcomes)),
        "problems": [{"request": kind, "problem": problem} for kind, problem in outcomes if problem],
        "resident_bytes": [
            {"process": growth.process.name, "at_10_percent": growth.before, "at_100_percent": growth.after}
            for growth in growths
        ],
        "shared_bytes": {"at_10_percent": before.shared, "at_100_percent": after.shared},
    }
