"""A closed loop of requests, and what it measures."""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Final

from perf.gpu.sizes import IMAGES, SIZES
from perf.gpu.stages import Totals
from perf.harness.loops import closed_loop

_LOAD: Final = re.compile(
    r"(?P<size>\w+)@(?P<in_flight>\d+)(?P<each>:each)?(?P<varied>:varied)?(?P<stream>:stream)?(?:\*(?P<rounds>\d+))?"
)


@dataclass(frozen=True)
class Answer:
    """What came for one image: tokens of its text and of its prompt, seconds until the first text in a stream."""

    tokens: int
    prompt_tokens: int
    first: float | None = None


Send = Callable[[int, bool], Awaitable[Answer]]
"""Has the image of this number read, with True as a stream."""

PrepareSize = Callable[[list[bytes], list[int]], Send]
"""Makes requests of encoded images, with the number of output tokens of each; what sends one of them."""


@dataclass(frozen=True)
class RunningSystem:
    """A system that answers, and what it has counted so far, where it counts."""

    prepare: PrepareSize
    totals: Callable[[], Totals] = Totals


@dataclass(frozen=True)
class Load:
    """So many requests in flight, for so many seconds or, where they are given, so many requests."""

    size: str
    in_flight: int
    stream: bool = False
    seconds: float = 0.0
    requests: int | None = None
    tokens: int | None = None
    """Output tokens of an image, if not its size's own."""
    varied: bool = False
    """Whether texts have from half to one and a half times that, so that they do not end together."""
    rounds: int | None = None
    """Rounds in which it is measured, if not in all."""
    each: bool = False
    """Whether so many are in flight for each GPU that a variant has."""

    @property
    def output_tokens(self) -> list[int]:
        """Tokens that the texts of the images have, one after the other."""
        mean = self.tokens or SIZES[self.size].tokens
        if not self.varied:
            return [mean] * IMAGES
        # those that follow each other differ
        return [max(1, round(mean * (0.5 + number * 37 % IMAGES / (IMAGES - 1)))) for number in range(IMAGES)]

    @property
    def name(self) -> str:
        """As `parse_load` reads it."""
        flags = (name for name in ("each", "varied", "stream") if getattr(self, name))
        return ":".join([f"{self.size}@{self.in_flight}", *flags])

    def spread(self, gpus: int) -> Load:
        """The load of a variant that has so many GPUs."""
        factor = gpus if self.each else 1
        return replace(self, in_flight=self.in_flight * factor, requests=self.requests and self.requests * factor)

    def shortened(self) -> Load:
        """What is enough to set up and compile what the load needs."""
        return replace(self, seconds=min(self.seconds, 1.0), requests=self.requests and self.in_flight)


@dataclass(frozen=True)
class Measurement:
    """One run of a load: latencies and times to the first text in seconds, tokens in the order of the answers."""

    seconds: float
    latencies: list[float] = field(default_factory=list)
    firsts: list[float] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    prompt_tokens: list[int] = field(default_factory=list)
    by_engine: dict[str, float] = field(default_factory=dict)
    """Images that each engine read, where it is known."""
    stages: dict[str, float] = field(default_factory=dict)
    """Seconds of a request in each part of a server, where they are known."""

    @property
    def images_per_second(self) -> float:
        """Whole requests over the time until the last has ended."""
        return len(self.latencies) / self.seconds


def parse_load(text: str, *, seconds: float, waves: int, tokens: int | None = None) -> Load:
    """A load by its name, and `*N` behind it where it is for so many rounds alone.

    Pages, which take seconds each, are counted: so many waves of them. Raises `ValueError`.

    >>> line = parse_load("line@32:varied*5", seconds=3, waves=2)
    >>> (line.name, line.seconds, line.requests, line.rounds)
    ('line@32:varied', 3, None, 5)
    >>> page = parse_load("page@4:each", seconds=3, waves=2)
    >>> (page.seconds, page.requests, page.spread(gpus=2).requests)
    (0.0, 8, 16)
    """
    match = _LOAD.fullmatch(text)
    if match is None or match["size"] not in SIZES or int(match["in_flight"]) < 1:
        raise ValueError(f"{text}: expected SIZE@IN_FLIGHT[:each][:varied][:stream][*ROUNDS], sizes {', '.join(SIZES)}")
    in_flight = int(match["in_flight"])
    rounds = int(match["rounds"]) if match["rounds"] else None
    flags = {name: bool(match[name]) for name in ("each", "varied", "stream")}
    load = Load(match["size"], in_flight, tokens=tokens, rounds=rounds, **flags)
    return replace(load, requests=waves * in_flight) if load.size == "page" else replace(load, seconds=seconds)


async def run_load(send: Send, load: Load) -> Measurement:
    """Keep so many requests in flight; the measurement ends when the last of them has ended."""
    began = time.perf_counter()
    done = await closed_loop(
        lambda number: send(number, load.stream), load.in_flight, requests=load.requests, seconds=load.seconds
    )
    answers = [one.result for one in done]
    return Measurement(
        time.perf_counter() - began,
        latencies=[one.seconds for one in done],
        firsts=[answer.first for answer in answers if answer.first is not None],
        tokens=[answer.tokens for answer in answers],
        prompt_tokens=[answer.prompt_tokens for answer in answers],
    )
