"""One client process: some threads, each with a door of its own, that ask one image after the other."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random

from stress.endurance.asking import Door, Ending, ending_of, open_door
from stress.endurance.images import ReferenceImage
from stress.endurance.journal import Closed, Ended, Journal, Sent
from stress.endurance.server import Endpoints

_PAUSE_AFTER_ERROR = 0.5
"""Where a request failed at once the next would too, and only keep the machine busy."""


@dataclass(frozen=True)
class ClientPlan:
    """What a client does. A request has `timeout` seconds, and is called hung `grace` seconds later."""

    name: str
    journal: Path
    endpoints: Endpoints
    doors: tuple[Door, ...]
    images: tuple[ReferenceImage, ...]
    seed: str
    timeout: float
    grace: float


def run_client(plan: ClientPlan, stop: Connection) -> None:
    """Ask until the other end of `stop` is closed, by whoever started this or by its death; then wait for the rest."""
    journal = Journal(plan.journal)
    stopped = threading.Event()
    threads = [
        threading.Thread(target=_ask_on, args=(plan, journal, number, stopped), daemon=True)
        for number in range(len(plan.doors))
    ]
    for thread in threads:
        thread.start()
    stop.poll(None)
    stopped.set()
    give_up = time.monotonic() + plan.timeout + plan.grace + 1
    for thread in threads:
        thread.join(max(0.0, give_up - time.monotonic()))
    journal.write(Closed(time.monotonic()))
    # a thread that hangs must not keep the process
    os._exit(0)


def _ask_on(plan: ClientPlan, journal: Journal, number: int, stopped: threading.Event) -> None:
    door = plan.doors[number]
    random = Random(f"{plan.seed} {number}")
    asker = open_door(door, plan.endpoints, plan.timeout)
    count = 0
    while not stopped.is_set():
        image = random.choice(plan.images)
        request = f"{plan.name}-{number}-{count}"
        count += 1
        journal.write(Sent(request, time.monotonic(), door, image.name))
        try:
            text = asker.read(image, request)
            ending, detail = (Ending.RIGHT, "") if text == door.text_of(image) else (Ending.WRONG, text)
        except Exception as error:
            ending = ending_of(error)
            detail = repr(error) if ending is Ending.FOREIGN else str(error)
        journal.write(Ended(request, time.monotonic(), ending, detail))
        if ending not in (Ending.RIGHT, Ending.WRONG):
            stopped.wait(_PAUSE_AFTER_ERROR)
