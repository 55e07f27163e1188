"""Kill engines, stubs and clients under load, account for every request: `python -m stress faults`."""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path
from random import Random
from typing import Annotated

import typer
from rich.console import Console

from ocrvl.launcher.interfaces import Interface
from perf.figures.new import Output, keep
from perf.harness.repository import copy_repository
from perf.harness.serve_process import ServeProcess
from stress.console import make_console
from stress.endurance.chaos import Chaos, NoRecovery, Schedule
from stress.endurance.client import ClientPlan
from stress.endurance.client_pool import ClientPool
from stress.endurance.images import draw_files, read_documents, read_undisturbed
from stress.endurance.journal import read_events
from stress.endurance.leftovers import Leftovers
from stress.endurance.reconcile import Client, Request, reconcile
from stress.endurance.recovery import Kill, Kind
from stress.endurance.report import Report, Run

_CLIENTS = 4
_LINES, _RECEIPTS = 40, 24
_WARM_UP_SECONDS = 15.0
_TIMEOUT, _GRACE = 120.0, 15.0

_FAILURE_WINDOW = "20"
"""Seconds. Processes die here because they are killed, so neither the engine's nor the server's own count of failures
may come to where restarts are delayed or end."""


def main(
    minutes: Annotated[float, typer.Option(min=0.1, help="Faults go on for at least this long.")] = 5.0,
    kills: Annotated[int, typer.Option(min=1, help="And until so many of each kind were killed.")] = 10,
    baseline: Annotated[float, typer.Option(min=0.1, help="Minutes without faults before, to compare with.")] = 2.0,
    in_flight: Annotated[int, typer.Option(min=10, help="Requests in flight, of all clients together.")] = 20,
    seed: Annotated[int, typer.Option(help="Of images, load and kills.")] = 0,
    output: Output = None,
) -> None:
    """Start `ocrvl serve`, put it under load, kill processes at random, and hold every request against its outcome.

    Exit status 1 where a request was lost, hung, answered wrongly or with an error that says nothing clear, where
    Triton had to be started again though no stub of it was killed, where the goodput outside recoveries is under 0.9
    of that without faults, or where too little was killed.
    """
    console = make_console()
    folder = Path(tempfile.mkdtemp(prefix="ocrvl-faults-"))
    try:
        found = Report(_run(console, folder, Schedule(minutes * 60, kills), baseline * 60, in_flight, seed))
    except RuntimeError as error:
        console.print(str(error), style="red", markup=False)
        raise typer.Exit(1) from None
    keep("faults", found.to_figures(), console, output=output)
    for name in found.run.left:
        console.print(f"left behind: {name}", style="yellow", markup=False)
    for failure in found.failures():
        console.print(f"does not hold: {failure}", style="red", markup=False)
    if found.failures():
        console.print(f"logs and journals are in {folder}")
        raise typer.Exit(1)
    shutil.rmtree(folder)


def _run(console: Console, folder: Path, schedule: Schedule, baseline: float, in_flight: int, seed: int) -> Run:
    parameters = {"failure_window_seconds": _FAILURE_WINDOW}
    repository = copy_repository(folder / "repository", parameters=parameters, interfaces=tuple(Interface))
    arguments = ("--model-repository", str(repository), "--failure-window", _FAILURE_WINDOW)
    leftovers, trouble = Leftovers(), None
    console.print("starting the server")
    with ServeProcess(folder, arguments) as server:
        leftovers.look(server.members())
        url = server.endpoints.grpc
        images = tuple(read_documents(url, read_undisturbed(url, draw_files(seed, _LINES, _RECEIPTS))))
        plan = ClientPlan("", folder, server.endpoints, (), images, str(seed), _TIMEOUT, _GRACE)
        with ClientPool(plan, folder, _CLIENTS, in_flight) as pool:
            console.print(f"{len(images)} images, {in_flight} requests in flight, {baseline:g} s without faults")
            time.sleep(_WARM_UP_SECONDS)
            start = time.monotonic()
            time.sleep(baseline)
            middle = time.monotonic()

            def on_kill(kill: Kill) -> None:
                leftovers.look(server.members())
                console.print(f"{kill.at - middle:6.0f} s: {kill.kind} {kill.what}{_how(kill)}")

            chaos = Chaos(server, pool, schedule, Random(seed), on_kill)
            try:
                chaos.run()
            except NoRecovery as error:
                trouble = f"{error}; the server said:\n{server.printed}"
            end = time.monotonic()
            console.print("waiting for the last requests")
            clients = pool.stop()
        # each stub that is killed takes the server with it
        failures = sum(line.startswith("failed: ") for line in server.printed.splitlines())
        restarts = failures - sum(kill.kind is Kind.STUB for kill in chaos.kills)
    requests = [request for client in clients for request in _reconcile(client)]
    return Run(
        requests, chaos.kills, (start, middle), (middle, end), schedule.kills, trouble, leftovers.left(), restarts
    )


def _how(kill: Kill) -> str:
    if kill.ready == kill.at:
        return ""
    return f", noticed after {kill.noticed - kill.at:.1f} s, ready after {kill.ready - kill.at:.1f} s"


def _reconcile(client: Client) -> list[Request]:
    events = read_events(client.journal.read_bytes()) if client.journal.exists() else iter(())
    return reconcile(client, events, _TIMEOUT + _GRACE)
