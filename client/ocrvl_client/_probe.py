"""Whether a server really works, as an orchestrator asks: Triton's own ready endpoints stay 200 when a model is dead.

Three witnesses, the cheapest first: the health endpoint; the metrics, where every process leaves a heartbeat and every
engine its state and its last step; and, unless an engine is seen at work, an image to read.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

from ocrvl.wire import ErrorCode, Model
from ocrvl_client._scrape import EngineState, Fetch, Sample, parse_samples, values_by_replica

_WHITE_28X28: Final = (
    "iVBORw0KGgoAAAANSUhEUgAAABwAAAAcCAAAAABXZoBIAAAAFElEQVR42mP4jwcwjEqOSo5KwgAA0FYNHp/Mo7cAAAAASUVORK5CYII="
)
"""A PNG file in base64, of the smallest size that is not enlarged: one token."""

_MIN_PIXELS: Final = 28 * 28

_REFUSING_STATUS: Final = (429, 503)
_REFUSING_WORDS: Final = (f"[{ErrorCode.UNAVAILABLE}]", "Exceeds maximum queue size", "Request timeout expired")
"""What a refusal says, ours and those of Triton's queues, whatever status it arrives with."""

_STATE_NAMES: Final[dict[float, str]] = {
    EngineState.READY: "is ready",
    EngineState.STARTING: "is starting",
    EngineState.GAVE_UP: "gave up",
}


@dataclass(frozen=True)
class ProbeSettings:
    """What is asked. Times in seconds.

    `live` asks whether a restart would help (liveness), else whether requests can be taken now (readiness).
    `heartbeat_age` and `busy_seconds` are how old a heartbeat and the last step of an engine with work may be;
    `timeout` bounds the whole probe.
    """

    live: bool = False
    timeout: float = 5.0
    heartbeat_age: float = 10.0
    busy_seconds: float = 10.0


@dataclass(frozen=True)
class Verdict:
    """The answer, one line that says why, and what was looked at on the way to it."""

    healthy: bool
    reason: str
    seen: tuple[str, ...] = ()


def examine(
    settings: ProbeSettings,
    server: Fetch,
    metrics: Fetch | None,
    *,
    wall_clock: Callable[[], float] = time.time,
    clock: Callable[[], float] = time.monotonic,
) -> Verdict:
    """Look at a server; never raises. `metrics` is None where there are none to be looked at."""
    return _Probe(settings, server, metrics, wall_clock, clock).run()


@dataclass
class _Probe:
    """One probe; each `_check` returns a verdict if what it looks at is enough for one."""

    settings: ProbeSettings
    server: Fetch
    metrics: Fetch | None
    wall_clock: Callable[[], float]
    clock: Callable[[], float]
    seen: list[str] = field(default_factory=list)

    def run(self) -> Verdict:
        self.deadline = self.clock() + self.settings.timeout
        verdict = self._check_health() or self._check_metrics(self._read_metrics()) or self._read_image()
        return replace(verdict, seen=tuple(self.seen))

    def _seconds_left(self) -> float:
        return max(0.05, self.deadline - self.clock())

    def _check_health(self) -> Verdict | None:
        # a model that says of itself that it is not ready, which newer Tritons ask for, is no reason for a restart
        path = "/v2/health/live" if self.settings.live else "/v2/health/ready"
        try:
            status = self.server(path, self._seconds_left()).status
        except TimeoutError:
            return Verdict(False, f"no answer from {path} within {self.settings.timeout:g} s")
        except OSError as error:
            return Verdict(False, f"no server: {error}")
        self.seen.append(f"{path} answers {status}")
        return None if status == 200 else Verdict(False, f"{path} answers {status}")

    def _read_metrics(self) -> list[Sample]:
        if self.metrics is None:
            return []
        try:
            # half of the time, so that some is left for the image
            answer = self.metrics("/metrics", self._seconds_left() / 2)
        except OSError as error:
            self.seen.append(f"metrics cannot be had ({error}), so an image alone decides")
            return []
        samples = list(parse_samples(answer.text)) if answer.status == 200 else []
        if not samples:
            self.seen.append(f"metrics (status {answer.status}) have nothing of ours, so an image alone decides")
        return samples

    def _check_metrics(self, samples: list[Sample]) -> Verdict | None:
        return self._check_heartbeats(samples) or self._check_states(samples) or self._check_work(samples)

    def _check_heartbeats(self, samples: list[Sample]) -> Verdict | None:
        beats = values_by_replica(samples, "heartbeat_timestamp_seconds")
        ages = {replica: self.wall_clock() - beats[replica] for replica in sorted(beats)}
        self.seen += [f"{replica} beat {age:.1f} s ago" for replica, age in ages.items()]
        # Triton keeps the last value of a process that is dead, so the age of its heartbeat gives it away. One from the
        # future is of before the clock was set back: a process that lives beats by the new time within a second
        silent = {replica: age for replica, age in ages.items() if abs(age) > self.settings.heartbeat_age}
        if not silent:
            return None
        told = ", ".join(
            f"{replica} for {age:.0f} s" if age > 0 else f"{replica}, whose last is {-age:.0f} s ahead of this clock"
            for replica, age in silent.items()
        )
        return Verdict(False, f"no heartbeat, so dead or hanging: {told}")

    def _check_states(self, samples: list[Sample]) -> Verdict | None:
        states = values_by_replica(samples, "engine_state")
        told = [f"{replica} {_STATE_NAMES.get(states[replica], 'is in no known state')}" for replica in sorted(states)]
        self.seen += told
        if not states or EngineState.READY in states.values():
            return None
        if self.settings.live and EngineState.STARTING in states.values():
            return Verdict(True, f"alive, but no engine is ready: {', '.join(told)}")
        return Verdict(False, f"no engine is ready: {', '.join(told)}")

    def _check_work(self, samples: list[Sample]) -> Verdict | None:
        images = values_by_replica(samples, "engine_images_in_flight")
        for replica, step in sorted(values_by_replica(samples, "engine_last_step_timestamp_seconds").items()):
            age = self.wall_clock() - step
            if images.get(replica, 0) > 0 and abs(age) < self.settings.busy_seconds:
                count = int(images[replica])
                return Verdict(True, f"{replica} is at work: {count} images in flight, last step {age:.1f} s ago")
        return None

    def _read_image(self) -> Verdict:
        timeout, started = self._seconds_left(), self.clock()
        options = {"max_tokens": 1, "min_pixels": _MIN_PIXELS, "raw": True, "timeout_ms": max(1, int(timeout * 1000))}
        body = json.dumps({"image": _WHITE_28X28, "options": json.dumps(options)}).encode()
        try:
            answer = self.server(f"/v2/models/{Model.OCR}/generate", timeout, body)
        except TimeoutError:
            return Verdict(False, f"a test image was not read within {timeout:.1f} s")
        except OSError as error:
            return Verdict(False, f"a test image was not read: {error}")
        if answer.status == 200:
            return Verdict(True, f"a test image was read in {self.clock() - started:.2f} s")
        told = f"{answer.status}, {_message(answer.text)}"
        if answer.status in _REFUSING_STATUS or any(words in answer.text for words in _REFUSING_WORDS):
            return Verdict(self.settings.live, f"a test image was refused: {told}")
        return Verdict(False, f"a test image failed: {told}")


def _message(text: str) -> str:
    """What an error of Triton says, in one line."""
    with contextlib.suppress(ValueError, KeyError, TypeError):
        text = str(json.loads(text)["error"])
    return " ".join(text.split())[:300]
