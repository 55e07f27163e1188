"""The liveness check of `ocrvl serve`: the probe's, and whether streams over gRPC are answered."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from ocrvl.wire import EngineState
from ocrvl_client.metrics import Fetch, HttpFetch, read_engine_states
from ocrvl_client.probe import ProbeSettings, probe_server, probe_stream

if TYPE_CHECKING:
    from ocrvl.launcher.server import TritonServer

_CHECK_SECONDS: Final = 10.0

_ENGINES_SECONDS: Final = 2.0
"""Between two checks of the engines' states."""

_METRICS_TIMEOUT: Final = 0.5
"""For metrics of this machine, in seconds; while they are fetched, nothing else is checked."""


def liveness_check(
    http: Fetch, metrics: Fetch, grpc_url: str, step_timeout: float, seconds: float = _CHECK_SECONDS
) -> Callable[[], str | None]:
    """A function that checks whether a server is alive: what is wrong, None where nothing is; never raises.

    An engine with requests may take `step_timeout` seconds for a step before a test image is sent. `seconds` bounds
    each of the two checks.
    """
    settings = ProbeSettings(live=True, timeout=seconds, busy_seconds=step_timeout)

    def check() -> str | None:
        result = probe_server(settings, http, metrics)
        return probe_stream(grpc_url, seconds) if result.healthy else result.reason

    return check


def watch_server(server: TritonServer, hang_timeout: float) -> Callable[[], str | None]:
    """A function that checks a server that is ready: its processes, its engines' states, and whether it answers.

    It returns what failed, or None. Raises `RecoveryFailed` where every engine has failed too often. A server that
    does not answer for `hang_timeout` seconds hangs; 0 leaves that unchecked.
    """
    from ocrvl.launcher.hang import HangWatch
    from ocrvl.launcher.supervise import RecoveryFailed
    from ocrvl.launcher.watch import StubWatch

    stubs = StubWatch(server.pid)
    fetch = HttpFetch(server.options.host, server.metrics_port)
    http = HttpFetch(server.options.host, server.http_port)
    hang = HangWatch(liveness_check(http, fetch, server.grpc_url, hang_timeout), hang_timeout)
    next_engines = time.monotonic()

    def check() -> str | None:
        nonlocal next_engines
        if dead := stubs.find_dead():
            return f"{', '.join(map(str, dead))} died"
        if time.monotonic() >= next_engines:
            states = read_engine_states(fetch, _METRICS_TIMEOUT)
            if states and set(states.values()) == {EngineState.GAVE_UP}:
                raise RecoveryFailed(
                    f"every engine has failed too often ({', '.join(sorted(states))}); the log says why"
                )
            next_engines = time.monotonic() + _ENGINES_SECONDS
        return hang.find_failure() if hang_timeout else None

    return check
