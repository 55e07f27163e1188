"""Liveness and readiness of a server: Triton's own health endpoints stay 200 when a model is dead.

Three checks, the cheapest first: the health endpoint; the metrics, where every process leaves a heartbeat and every
engine its state and its last step; and, unless an engine makes steps, a test image.
"""

from __future__ import annotations

import contextlib
import json
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

from ocrvl.wire import QUEUE_REFUSALS, EngineState, ErrorCode, Model
from ocrvl_client._errors import OcrvlError, RequestTimeout
from ocrvl_client.metrics import Fetch, Sample, parse_samples, values_by_replica

_WHITE_28X28: Final = (
    "iVBORw0KGgoAAAANSUhEUgAAABwAAAAcCAAAAABXZoBIAAAAFElEQVR42mP4jwcwjEqOSo5KwgAA0FYNHp/Mo7cAAAAASUVORK5CYII="
)
"""A PNG file in base64, of the smallest size that is not enlarged: one token."""

_MIN_PIXELS: Final = 28 * 28

_REFUSAL_STATUSES: Final = (429, 503)
_REFUSAL_WORDS: Final = (f"[{ErrorCode.UNAVAILABLE}]", *QUEUE_REFUSALS)
"""What a refusal says, ours and those of Triton's queues, whatever status it arrives with."""

_STATE_NAMES: Final[dict[float, str]] = {
    EngineState.READY: "is ready",
    EngineState.STARTING: "is starting",
    EngineState.GAVE_UP: "gave up",
}


@dataclass(frozen=True)
class ProbeSettings:
    """A probe's limits. Times in seconds.

    `live` probes whether only a restart helps (liveness), else whether requests are accepted now (readiness).
    `heartbeat_age` and `busy_seconds` are how old a heartbeat and the last step of an engine with images in flight may
    be; `timeout` bounds the whole probe.
    """

    live: bool = False
    timeout: float = 5.0
    heartbeat_age: float = 10.0
    busy_seconds: float = 10.0


@dataclass(frozen=True)
class ProbeResult:
    """Whether the server is healthy, one line that says why, and a line for each thing that was checked."""

    healthy: bool
    reason: str
    details: tuple[str, ...] = ()


def probe_server(
    settings: ProbeSettings,
    server: Fetch,
    metrics: Fetch | None,
    *,
    wall_clock: Callable[[], float] = time.time,
    clock: Callable[[], float] = time.monotonic,
) -> ProbeResult:
    """Check a server by its HTTP endpoint and its metrics, None where it has none; never raises.

    >>> def refuse(path: str, timeout: float, body: bytes | None = None) -> HttpResponse:
    ...     raise ConnectionRefusedError("refused")
    >>> probe_server(ProbeSettings(), refuse, None).reason
    'no server: refused'
    """
    return _Probe(settings, server, metrics, wall_clock, clock).run()


@dataclass
class _Probe:
    """One probe; each `_check` returns a result where it decides, else None."""

    settings: ProbeSettings
    server: Fetch
    metrics: Fetch | None
    wall_clock: Callable[[], float]
    clock: Callable[[], float]
    details: list[str] = field(default_factory=list)

    def run(self) -> ProbeResult:
        self.deadline = self.clock() + self.settings.timeout
        result = self._check_health() or self._check_metrics(self._read_metrics()) or self._read_image()
        return replace(result, details=tuple(self.details))

    def _seconds_left(self) -> float:
        return max(0.05, self.deadline - self.clock())

    def _check_health(self) -> ProbeResult | None:
        # a model that says of itself that it is not ready, which newer Tritons ask for, is no reason for a restart
        path = "/v2/health/live" if self.settings.live else "/v2/health/ready"
        try:
            status = self.server(path, self._seconds_left()).status
        except TimeoutError:
            return ProbeResult(False, f"no answer from {path} within {self.settings.timeout:g} s")
        except OSError as error:
            return ProbeResult(False, f"no server: {error}")
        self.details.append(f"{path} answers {status}")
        return None if status == 200 else ProbeResult(False, f"{path} answers {status}")

    def _read_metrics(self) -> list[Sample]:
        if self.metrics is None:
            return []
        try:
            # half of the time, so that some is left for the image
            answer = self.metrics("/metrics", self._seconds_left() / 2)
        except OSError as error:
            self.details.append(f"no metrics ({error}), so an image alone decides")
            return []
        samples = list(parse_samples(answer.text)) if answer.status == 200 else []
        if not samples:
            self.details.append(f"metrics (status {answer.status}) have none of ours, so an image alone decides")
        return samples

    def _check_metrics(self, samples: list[Sample]) -> ProbeResult | None:
        return self._check_heartbeats(samples) or self._check_states(samples) or self._check_progress(samples)

    def _check_heartbeats(self, samples: list[Sample]) -> ProbeResult | None:
        beats = values_by_replica(samples, "heartbeat_timestamp_seconds")
        ages = {replica: self.wall_clock() - beats[replica] for replica in sorted(beats)}
        self.details += [f"{replica} beat {age:.1f} s ago" for replica, age in ages.items()]
        # Triton keeps the last value of a process that is dead, so the age of its heartbeat gives it away. One from the
        # future is of before the clock was set back: a process that lives beats by the new time within a second
        silent = {replica: age for replica, age in ages.items() if abs(age) > self.settings.heartbeat_age}
        if not silent:
            return None
        described = ", ".join(
            f"{replica} for {age:.0f} s" if age > 0 else f"{replica}, whose last is {-age:.0f} s ahead of this clock"
            for replica, age in silent.items()
        )
        return ProbeResult(False, f"no heartbeat, so dead or hanging: {described}")

    def _check_states(self, samples: list[Sample]) -> ProbeResult | None:
        states = values_by_replica(samples, "engine_state")
        described = [
            f"{name} {_STATE_NAMES.get(state, 'is in no known state')}" for name, state in sorted(states.items())
        ]
        self.details += described
        if not states or EngineState.READY in states.values():
            return None
        if self.settings.live and EngineState.STARTING in states.values():
            return ProbeResult(True, f"alive, but no engine is ready: {', '.join(described)}")
        return ProbeResult(False, f"no engine is ready: {', '.join(described)}")

    def _check_progress(self, samples: list[Sample]) -> ProbeResult | None:
        images = values_by_replica(samples, "engine_images_in_flight")
        for replica, step in sorted(values_by_replica(samples, "engine_last_step_timestamp_seconds").items()):
            age = self.wall_clock() - step
            if images.get(replica, 0) > 0 and abs(age) < self.settings.busy_seconds:
                count = int(images[replica])
                return ProbeResult(True, f"{replica} is at work: {count} images in flight, last step {age:.1f} s ago")
        return None

    def _read_image(self) -> ProbeResult:
        timeout, started = self._seconds_left(), self.clock()
        options = {"max_tokens": 1, "min_pixels": _MIN_PIXELS, "raw": True, "timeout_ms": max(1, int(timeout * 1000))}
        body = json.dumps({"image": _WHITE_28X28, "options": json.dumps(options)}).encode()
        try:
            answer = self.server(f"/v2/models/{Model.OCR}/generate", timeout, body)
        except TimeoutError:
            return ProbeResult(False, f"a test image was not read within {timeout:.1f} s")
        except OSError as error:
            return ProbeResult(False, f"a test image was not read: {error}")
        if answer.status == 200:
            return ProbeResult(True, f"a test image was read in {self.clock() - started:.2f} s")
        described = f"{answer.status}, {_message(answer.text)}"
        if answer.status in _REFUSAL_STATUSES or any(words in answer.text for words in _REFUSAL_WORDS):
            return ProbeResult(self.settings.live, f"a test image was refused: {described}")
        return ProbeResult(False, f"a test image failed: {described}")


def probe_stream(url: str, timeout: float) -> str | None:
    """Whether a server answers streams over gRPC: what is wrong, None where nothing is; never raises.

    One thread of Triton answers them all; when it hangs, nothing else shows it. The request is a cancel of a token that
    no request has. `url` is host and port, `timeout` in seconds.
    """
    # they bring NumPy and gRPC along
    from ocrvl_client._messages import encode_cancel
    from ocrvl_client._transports.endpoint import Endpoint
    from ocrvl_client._transports.grpc_sync import GrpcTransport

    transport = GrpcTransport(Endpoint(url))
    try:
        list(transport.stream(encode_cancel(uuid.uuid4().hex), timeout))
    except RequestTimeout:
        return f"no answer on a gRPC stream within {timeout:g} s"
    except OcrvlError:
        # a server that refuses is alive
        return None
    finally:
        transport.close()
    return None


def _message(text: str) -> str:
    """What an error of Triton says, in one line."""
    with contextlib.suppress(ValueError, KeyError, TypeError):
        text = str(json.loads(text)["error"])
    return " ".join(text.split())[:300]
