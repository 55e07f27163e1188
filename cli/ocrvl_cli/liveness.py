"""The liveness check of `ocrvl serve`: the probe's, and whether streams over gRPC are answered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ocrvl_client.metrics import Fetch
from ocrvl_client.probe import ProbeSettings, probe_server, probe_stream

_CHECK_SECONDS: Final = 10.0


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
