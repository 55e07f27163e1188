"""The client processes of a load: started, killed and replaced, stopped."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import cycle, islice
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Final

from stress.endurance.callers import CallerKind
from stress.endurance.client import ClientPlan, run_client
from stress.endurance.reconcile import Client

_MIX: Final = (
    *(CallerKind.GRPC, CallerKind.HTTP, CallerKind.STREAM, CallerKind.GRPC_ONCE, CallerKind.CLOSED_EARLY),
    *(CallerKind.HTTP, CallerKind.GRPC, CallerKind.DOCUMENT, CallerKind.HTTP_ONCE, CallerKind.GRPC),
)
"""Callers of ten requests in flight."""

_PRELOADED: Final = ["stress.endurance.client", "stress.__main__"]
"""What clients import, and the command, which every process of its own imports as well: a client that takes the place
of a killed one costs a fork then, not seconds of a core."""


@dataclass
class _Running:
    plan: ClientPlan
    process: ForkServerProcess
    stop: Connection


class ClientPool:
    """Use in a `with` block: leaving kills what still runs. `plan` is what every client shares."""

    def __init__(self, plan: ClientPlan, folder: Path, clients: int, in_flight: int) -> None:
        self._plan = plan
        self._folder = folder
        self._callers = share_callers(clients, in_flight)
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(_PRELOADED)
        self._running: list[_Running] = []
        self._started = 0
        self._ended: list[Client] = []

    def __enter__(self) -> ClientPool:
        self._running = [self._start(callers) for callers in self._callers]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for running in self._running:
            running.process.kill()

    def kill_one(self, random: Random) -> str:
        """Kill a client, whatever it is doing, and start another in its place; its name."""
        place = random.randrange(len(self._running))
        victim = self._running[place]
        at = time.monotonic()
        victim.process.kill()
        victim.process.join()
        self._ended.append(Client(victim.plan.name, victim.plan.journal, killed_at=at))
        self._running[place] = self._start(victim.plan.callers)
        return victim.plan.name

    def stop(self) -> list[Client]:
        """Let requests in flight end, within their deadlines; every client there was."""
        for running in self._running:
            running.stop.close()
        deadline = time.monotonic() + self._plan.timeout + self._plan.grace + 10
        for running in self._running:
            running.process.join(max(0.0, deadline - time.monotonic()))
            # one that does not even end is looked at as one that ended now, with open requests
            hangs = running.process.is_alive()
            at = time.monotonic() if hangs else None
            self._ended.append(Client(running.plan.name, running.plan.journal, seen_until=at))
        return self._ended

    def _start(self, callers: tuple[CallerKind, ...]) -> _Running:
        name = f"client{self._started}"
        self._started += 1
        plan = replace(
            self._plan,
            name=name,
            journal=self._folder / f"{name}.jsonl",
            callers=callers,
            seed=f"{self._plan.seed} {name}",
        )
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=run_client, args=(plan, theirs))
        process.start()
        theirs.close()
        return _Running(plan, process, ours)


def share_callers(clients: int, in_flight: int) -> Sequence[tuple[CallerKind, ...]]:
    """The callers of each client, so that all together have so many requests in flight, of every kind."""
    callers = list(islice(cycle(_MIX), in_flight))
    return [tuple(callers[number::clients]) for number in range(clients)]
