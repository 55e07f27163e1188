"""One client process: some threads, each with a caller of its own, that send one image after the other."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random

from perf.harness.serve_process import Endpoints
from stress.endurance.callers import CallerKind, Outcome, open_caller, outcome_of
from stress.endurance.images import ReferenceImage
from stress.endurance.journal import Closed, Ended, Journal, Sent

_PAUSE_AFTER_ERROR = 0.5
"""Where a request failed at once the next would too, and only keep the machine busy."""


@dataclass(frozen=True)
class ClientPlan:
    """What a client does. A request has `timeout` seconds, and is called hung `grace` seconds later."""

    name: str
    journal: Path
    endpoints: Endpoints
    callers: tuple[CallerKind, ...]
    images: tuple[ReferenceImage, ...]
    seed: str
    timeout: float
    grace: float


def run_client(plan: ClientPlan, stop: Connection) -> None:
    """Send until the other end of `stop` is closed, by whoever started this or by its death; then wait for the rest."""
    journal = Journal(plan.journal)
    stopped = threading.Event()
    threads = [
        threading.Thread(target=_send_on, args=(plan, journal, number, stopped), daemon=True)
        for number in range(len(plan.callers))
    ]
    for thread in threads:
        thread.start()
    stop.poll(None)
    stopped.set()
    deadline = time.monotonic() + plan.timeout + plan.grace + 1
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    journal.write(Closed(time.monotonic()))
    # a thread that hangs must not keep the process
    os._exit(0)


def _send_on(plan: ClientPlan, journal: Journal, number: int, stopped: threading.Event) -> None:
    caller = plan.callers[number]
    random = Random(f"{plan.seed} {number}")
    connection = open_caller(caller, plan.endpoints, plan.timeout)
    count = 0
    while not stopped.is_set():
        image = random.choice(plan.images)
        request = f"{plan.name}-{number}-{count}"
        count += 1
        journal.write(Sent(request, time.monotonic(), caller, image.name))
        try:
            text = connection.read(image, request)
            outcome, detail = (Outcome.RIGHT, "") if text == caller.expected_text(image) else (Outcome.WRONG, text)
        except Exception as error:
            outcome = outcome_of(error)
            detail = repr(error) if outcome is Outcome.FOREIGN else str(error)
        journal.write(Ended(request, time.monotonic(), outcome, detail))
        if outcome not in (Outcome.RIGHT, Outcome.WRONG):
            stopped.wait(_PAUSE_AFTER_ERROR)
