"""Kills processes of a server and its clients at random, one recovery after the other."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Final

import psutil

from perf.harness.serve_process import Role, ServeProcess
from stress.endurance.client_pool import ClientPool
from stress.endurance.recovery import Kill, Kind

_POLL_SECONDS: Final = 0.25
_NOTICE_SECONDS: Final = 30.0
"""A process that is gone shows within ten seconds at the latest, by its heartbeat (`ocrvl probe`)."""

_RECOVERY_SECONDS: Final = 300.0

_ROLES: Final = {Kind.ENGINE: Role.ENGINE, Kind.STUB: Role.STUB}


class NoRecovery(Exception):
    """The server did not come back from a kill; the message says from which."""


@dataclass(frozen=True)
class Schedule:
    """How long, how often, and how soon again: `gap` and `client_gap` are the bounds of random pauses, in seconds.

    `seconds` is the least time, and `kills` the least number of kills of each kind.
    """

    seconds: float
    kills: int
    gap: tuple[float, float] = (8.0, 15.0)
    client_gap: tuple[float, float] = (8.0, 25.0)


class Chaos:
    """One run. `on_kill` is told each kill when the server is back."""

    def __init__(
        self,
        server: ServeProcess,
        pool: ClientPool,
        schedule: Schedule,
        random: Random,
        on_kill: Callable[[Kill], None] = lambda _kill: None,
    ) -> None:
        self._server = server
        self._pool = pool
        self._schedule = schedule
        self._random = random
        self._on_kill = on_kill
        self._next_client = 0.0
        self.kills: list[Kill] = []

    def run(self) -> None:
        """Kill until the schedule is met, and go on a while after the last recovery. Raises `NoRecovery`."""
        end = time.monotonic() + self._schedule.seconds
        self._next_client = time.monotonic() + self._random.uniform(*self._schedule.client_gap)
        self._sleep(self._random.uniform(*self._schedule.gap))
        while time.monotonic() < end or self._missing():
            kind = choose_kind(self._random, self._missing())
            if kind is Kind.CLIENT:
                self._kill_client()
            else:
                self._kill_in_server(kind)
            self._sleep(self._random.uniform(*self._schedule.gap))

    def _missing(self) -> list[Kind]:
        counts = Counter(kill.kind for kill in self.kills)
        return [kind for kind in Kind if counts[kind] < self._schedule.kills]

    def _kill_in_server(self, kind: Kind) -> None:
        # looked up now, below the server that was started here: nothing else is ever killed
        victim = self._random.choice([member for member in self._server.members() if member.role is _ROLES[kind]])
        at = time.monotonic()
        try:
            victim.process.kill()
        except psutil.NoSuchProcess:
            return
        noticed, ready = self._await_recovery(f"{kind} {victim.name}", at)
        self._record(Kill(kind, victim.name, at, noticed, ready))

    def _kill_client(self) -> None:
        at = time.monotonic()
        self._record(Kill(Kind.CLIENT, self._pool.kill_one(self._random), at, at, at))
        self._next_client = at + self._random.uniform(*self._schedule.client_gap)

    def _await_recovery(self, what: str, killed: float) -> tuple[float, float]:
        """When the probe noticed, and when it was content again."""
        noticed = None
        while (now := time.monotonic()) < killed + _RECOVERY_SECONDS and self._server.is_running:
            if not self._server.probe().healthy:
                noticed = noticed or now
            elif noticed:
                return noticed, time.monotonic()
            elif now > killed + _NOTICE_SECONDS:
                raise NoRecovery(f"the probe never noticed that {what} was killed")
            self._sleep(_POLL_SECONDS)
        raise NoRecovery(f"the server did not come back after {what} was killed")

    def _sleep(self, seconds: float) -> None:
        """Wait, killing clients meanwhile."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if time.monotonic() >= self._next_client:
                self._kill_client()
            time.sleep(min(left, _POLL_SECONDS))

    def _record(self, kill: Kill) -> None:
        self.kills.append(kill)
        self._on_kill(kill)


def choose_kind(random: Random, missing: list[Kind]) -> Kind:
    """What to kill next: something that was not killed often enough, and once all were, anything in the server."""
    return random.choice([kind for kind in missing if kind is not Kind.CLIENT] or missing or [Kind.ENGINE, Kind.STUB])
