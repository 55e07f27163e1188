"""Doubles of what carries the clients' requests: they answer, fail and wait as a test says."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncGenerator, Callable, Generator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ocrvl.wire import Model, Tensor
from ocrvl_client import Array, Request, ServerMetadata, ServerUnavailable


def texts(*values: str) -> Array:
    array = np.empty(len(values), dtype=object)
    array[:] = [value.encode() for value in values]
    return array


def readings(request: Request) -> dict[Tensor, Array]:
    """One reading an image, which says the image's bytes; the first of several has an error."""
    images = request.inputs[Tensor.IMAGE].tolist()
    count = len(images)
    return {
        Tensor.TEXT: texts(*(f"text of {image.decode()}" for image in images)),
        Tensor.FINISH_REASON: texts(*["stop"] * count),
        Tensor.NUM_INPUT_TOKENS: np.full(count, 7, np.int32),
        Tensor.NUM_OUTPUT_TOKENS: np.full(count, 3, np.int32),
        Tensor.ERROR: texts(*(["[INVALID_ARG] image 0: bad"] if count > 1 else []), *[""] * (count - (count > 1))),
        Tensor.WARNING: texts(*(f"warning {index}" for index in range(count))),
    }


def raising(error: Exception) -> Callable[[Request], dict[Tensor, Array]]:
    """An answer that is this error."""

    def answer(request: Request) -> dict[Tensor, Array]:
        raise error

    return answer


def failing(*failures: BaseException) -> Callable[[Request], dict[Tensor, Array]]:
    """Answers of which the first are these errors."""
    left = list(failures)

    def answer(request: Request) -> dict[Tensor, Array]:
        if left:
            raise left.pop(0)
        return readings(request)

    return answer


def options_of(request: Request) -> dict[str, Any]:
    return dict(json.loads(request.inputs[Tensor.OPTIONS].item()))


@dataclass
class RecordingTransport:
    """Keeps what it is sent. `answer` makes the answer of a request, or raises; cancels are counted as one each."""

    answer: Callable[[Request], dict[Tensor, Array]] = readings
    answers: Callable[[Request], list[dict[Tensor, Array]]] = lambda _request: []
    sent: list[Request] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
    registered: list[str] = field(default_factory=list)
    unregistered: list[str] = field(default_factory=list)
    is_gone: bool = False
    closed_streams: int = 0
    in_flight: int = 0
    most_in_flight: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def infer(self, request: Request, timeout: float) -> dict[Tensor, Array]:
        if request.model is Model.CANCEL:
            self.cancelled.append(request.inputs[Tensor.CANCEL_TOKEN].item().decode())
            return {Tensor.CANCELLED: np.array([1], np.int32)}
        with self._lock:
            self.sent.append(request)
            self.in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            return self.answer(request)
        finally:
            with self._lock:
                self.in_flight -= 1

    def stream(self, request: Request, timeout: float) -> Generator[dict[Tensor, Array], None, None]:
        self.sent.append(request)
        try:
            yield from self.answers(request)
        finally:
            self.closed_streams += 1

    def register(self, name: str, key: str, size: int) -> None:
        self.registered.append(name)

    def unregister(self, name: str, timeout: float) -> None:
        if self.is_gone:
            raise ServerUnavailable("gone")
        self.unregistered.append(name)

    def is_live(self) -> bool:
        return True

    def is_ready(self) -> bool:
        return True

    def metadata(self) -> ServerMetadata:
        return ServerMetadata("double", "1", ())

    def close(self) -> None:
        pass


@dataclass
class AsyncRecordingTransport:
    """The same for asyncio, over one of the above; `pause` is waited for in each request."""

    transport: RecordingTransport = field(default_factory=RecordingTransport)
    pause: float = 0.0

    async def infer(self, request: Request, timeout: float) -> dict[Tensor, Array]:
        if request.model is not Model.CANCEL:
            self.transport.in_flight += 1
            self.transport.most_in_flight = max(self.transport.most_in_flight, self.transport.in_flight)
            try:
                await asyncio.sleep(self.pause)
            finally:
                self.transport.in_flight -= 1
        return self.transport.infer(request, timeout)

    async def stream(self, request: Request, timeout: float) -> AsyncGenerator[dict[Tensor, Array], None]:
        for answer in self.transport.stream(request, timeout):
            yield answer

    async def register(self, name: str, key: str, size: int) -> None:
        self.transport.register(name, key, size)

    async def unregister(self, name: str, timeout: float) -> None:
        self.transport.unregister(name, timeout)

    async def is_live(self) -> bool:
        return True

    async def is_ready(self) -> bool:
        return True

    async def metadata(self) -> ServerMetadata:
        return self.transport.metadata()

    async def close(self) -> None:
        pass
