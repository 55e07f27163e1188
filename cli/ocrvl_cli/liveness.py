"""What `ocrvl serve` asks its server: the probe's questions, and whether streams over gRPC are answered."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Final

from ocrvl_client._errors import OcrvlError, RequestTimeout
from ocrvl_client._messages import encode_cancel
from ocrvl_client._probe import ProbeSettings, examine
from ocrvl_client._scrape import Fetch
from ocrvl_client._transports.grpc_sync import GrpcTransport
from ocrvl_client._transports.protocol import Endpoint

_CHECK_SECONDS: Final = 10.0


def liveness_check(
    http: Fetch, metrics: Fetch, grpc_url: str, patience: float, seconds: float = _CHECK_SECONDS
) -> Callable[[], str | None]:
    """A function that asks a server whether it is alive: what is wrong, None where nothing is; never raises.

    An engine that has work may take `patience` seconds for a step before an image is asked for. `seconds` bounds each
    of the two questions.
    """
    settings = ProbeSettings(live=True, timeout=seconds, busy_seconds=patience)

    def check() -> str | None:
        verdict = examine(settings, http, metrics)
        return _check_streams(grpc_url, seconds) if verdict.healthy else verdict.reason

    return check


def _check_streams(url: str, seconds: float) -> str | None:
    """One thread of Triton answers all streams over gRPC; when it hangs, nothing else shows it.

    The model `cancel` is asked to end what nobody has sent.
    """
    transport = GrpcTransport(Endpoint(url))
    try:
        list(transport.stream(encode_cancel(uuid.uuid4().hex), seconds))
    except RequestTimeout:
        return f"no answer on a gRPC stream within {seconds:g} s"
    except OcrvlError:
        # whoever refuses is alive
        return None
    finally:
        transport.close()
    return None
