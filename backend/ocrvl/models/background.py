"""What runs beside the requests of a model: checks and metrics."""

from __future__ import annotations

import faulthandler
import os
import threading
from collections.abc import Callable, Sequence
from typing import Final

from prometheus_client import CollectorRegistry

from ocrvl.metrics.definitions import ModelMetrics
from ocrvl.metrics.mirror import FamilyFactory, Mirror
from ocrvl.metrics.publisher import Publisher
from ocrvl.processes import descendants, kill
from ocrvl.triton.context import Log

_SERVER_CHECK_SECONDS: Final = 1.0
_CHECKS_PER_CORE: Final = 32
_HUNG_SECONDS: Final = 120.0
"""After which a process in which no Python thread could run is beyond hope; loading a large library takes seconds."""


def repeat(job: Callable[[], None], seconds: float, name: str) -> Callable[[], None]:
    """Do a job again and again, so many seconds apart, in a thread of its own; what is returned stops it."""

    def do() -> float:
        job()
        return seconds

    return _repeat(do, seconds, name)


def watch_callers(end_abandoned: Callable[[], int], seconds: float) -> Callable[[], None]:
    """Do `end_abandoned` again and again, so many seconds apart; what is returned stops it.

    It asks the server about one caller after the other, and says about how many. That is done less often where they
    are many: a question and its answer take four threads of two processes 60 us in all, and with 64 in flight these
    would be 1 % of two cores.
    """
    most_per_second = _CHECKS_PER_CORE * len(os.sched_getaffinity(0))
    return _repeat(lambda: max(seconds, end_abandoned() / most_per_second), seconds, "callers")


def _repeat(job: Callable[[], float], seconds: float, name: str) -> Callable[[], None]:
    """Do a job, at first after so many seconds, then after as many as it has said last."""
    stopped = threading.Event()

    def run() -> None:
        pause = seconds
        while not stopped.wait(pause):
            pause = job()

    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()

    def stop() -> None:
        stopped.set()
        thread.join()

    return stop


def end_with_server() -> None:
    """From now on, end this process and those it has started when its server has gone.

    A server that is killed, or whose exit timeout passes, leaves its stubs behind, and with them their engines' memory.
    A stub that waits for an answer of such a server holds Python's lock for ever: then a timer that needs no lock ends
    it, and says in the log where it hung.
    """
    server = os.getppid()

    def check() -> None:
        faulthandler.dump_traceback_later(_HUNG_SECONDS, exit=True)
        if os.getppid() != server:
            try:
                kill(descendants())
            finally:
                os._exit(1)

    repeat(check, _SERVER_CHECK_SECONDS, "server")


def publish_metrics(
    metrics: ModelMetrics,
    replica: str,
    families: FamilyFactory,
    log: Log,
    *,
    before_publish: Sequence[Callable[[], None]] = (),
    more: Sequence[CollectorRegistry] = (),
) -> Publisher:
    """Publish a model's metrics from now on, its heartbeat among them; `more` are registries beside its own."""
    mirror = Mirror([metrics.registry, *more], families, {"replica": replica}, log=log.warning)
    steps = [metrics.heartbeat.set_to_current_time, *before_publish]
    publisher = Publisher(mirror, before_publish=steps, log=log.warning)
    publisher.start()
    return publisher
