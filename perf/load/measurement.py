"""What one measurement found. Times are milliseconds."""

from __future__ import annotations

from dataclasses import dataclass, field

from perf.load.profiles import Run


@dataclass(frozen=True)
class Latency:
    """Of a request, as its caller sees it; with streams to the last response."""

    mean: float
    p50: float
    p90: float
    p95: float
    p99: float


@dataclass(frozen=True)
class StageTime:
    """Mean time of a request in one model, as Triton counts it.

    For `paddleocr_vl` the computing is only the handing over to the engine, which answers later: see `EngineTime`.
    """

    queue: float
    compute: float


@dataclass(frozen=True)
class EngineTime:
    """Mean time of an image in the engine, as its model and vLLM count it.

    `waiting` is for admission and inside vLLM; `first_token` from then to the first token, image encoding included;
    `other_tokens` the rest.
    """

    waiting: float
    first_token: float
    other_tokens: float


@dataclass(frozen=True)
class FirstToken:
    """From sending a request to its first response, and the mean between two responses."""

    p50: float
    p95: float
    p99: float
    between: float


@dataclass(frozen=True)
class Measurement:
    """One load on one model. `throughput` is requests, here images, a second; `level` in flight or a second.

    `stages` has the models that Triton counted, `engine` and `first_token` are None where they were not measured.
    """

    run: Run
    level: float
    throughput: float
    latency: Latency
    stages: dict[str, StageTime] = field(default_factory=dict)
    engine: EngineTime | None = None
    first_token: FirstToken | None = None


@dataclass(frozen=True)
class Failure:
    """A measurement that gave no figures, and why."""

    run: Run
    level: float
    message: str
