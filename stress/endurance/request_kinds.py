"""The requests of a soak: what each asks for, and what must come back."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from types import TracebackType
from typing import Any, Final

from ocrvl_client import Client, FinishReason, InvalidRequest, RequestCancelled
from perf.harness.serve_process import Endpoints
from stress.endurance.callers import RETRY, StreamCaller
from stress.endurance.images import ReferenceImage

_TIMEOUT = 120.0

_LONG: Final[Mapping[str, Any]] = {"regex": "[a-z]{3500}", "stop_repetition": False}
"""Options with which an image of anything takes longer than a call to cancel, also on a machine whose kernel lets
others wait for seconds while an engine computes."""

BAD_FILES: Final = (b"", b"hello world", b"%PDF-1.7 ...", bytes(1000), b"\x89PNG\r\n\x1a\n" + bytes(60))


class RequestKind(StrEnum):
    """A kind of request."""

    GRPC = "an image, gRPC"
    HTTP = "an image, HTTP"
    SEVERAL = "several images"
    KEPT = "several, one bad and kept"
    BAD = "a bad file"
    CANCELLED = "cancelled by token"
    STREAM = "a stream"


_WEIGHTS: Final = {
    RequestKind.GRPC: 30,
    RequestKind.HTTP: 20,
    RequestKind.SEVERAL: 12,
    RequestKind.KEPT: 6,
    RequestKind.BAD: 10,
    RequestKind.CANCELLED: 8,
    RequestKind.STREAM: 14,
}


@dataclass(frozen=True)
class Plan:
    """One request: `bad` is the bad file where there is one, `cancel_after` is in seconds."""

    kind: RequestKind
    images: tuple[ReferenceImage, ...]
    bad: bytes = b""
    cancel_after: float = 0.0


def plan_requests(
    images: Sequence[ReferenceImage], count: int, random: Random, mixed: Collection[RequestKind] = tuple(RequestKind)
) -> list[Plan]:
    """So many requests of these kinds, mixed; the same for the same state of `random`."""
    weights = {kind: weight for kind, weight in _WEIGHTS.items() if kind in mixed}
    kinds = random.choices(list(weights), list(weights.values()), k=count)
    plans = []
    for kind in kinds:
        several = (
            random.randint(2, 5) if kind in (RequestKind.SEVERAL, RequestKind.KEPT) or random.random() < 0.2 else 1
        )
        chosen = tuple(random.choices(images, k=several if kind is not RequestKind.CANCELLED else 1))
        plans.append(Plan(kind, chosen, random.choice(BAD_FILES), random.uniform(0.0, 1.0)))
    return plans


class Runner:
    """What one thread needs to send requests, and to tell whether the right thing came back."""

    def __init__(self, endpoints: Endpoints) -> None:
        self._grpc = Client(endpoints.grpc, timeout=_TIMEOUT, retry=RETRY)
        self._http = Client(endpoints.http, protocol="http", timeout=_TIMEOUT, retry=RETRY)
        self._stream = StreamCaller(endpoints.grpc, _TIMEOUT)

    def __enter__(self) -> Runner:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for connection in (self._grpc, self._http, self._stream):
            connection.close()

    def run(self, plan: Plan) -> str | None:
        """Send a request; what was wrong with its outcome, None if it was the right one."""
        try:
            return self._run(plan)
        except Exception as error:
            return repr(error)

    def _run(self, plan: Plan) -> str | None:
        files, texts = [one.data for one in plan.images], [one.text for one in plan.images]
        match plan.kind:
            case RequestKind.GRPC | RequestKind.SEVERAL:
                return _differs([reading.text for reading in self._grpc.read_batch(files)], texts)
            case RequestKind.HTTP:
                return _differs([reading.text for reading in self._http.read_batch(files)], texts)
            case RequestKind.STREAM:
                return _differs(self._stream.read_batch(files, uuid.uuid4().hex), texts)
            case RequestKind.KEPT:
                *readings, last = self._grpc.read_batch([*files, plan.bad], on_error="keep")
                if last.finish_reason is not FinishReason.ERROR:
                    return f"a bad file was read: {last}"
                return _differs([reading.text for reading in readings], texts)
            case RequestKind.BAD:
                return self._read_bad(plan.bad)
        return self._read_and_cancel(plan)

    def _read_bad(self, data: bytes) -> str | None:
        try:
            reading = self._grpc.read(data)
        except InvalidRequest:
            return None
        return f"a bad file was read: {reading}"

    def _read_and_cancel(self, plan: Plan) -> str | None:
        token = uuid.uuid4().hex
        told: list[str] = []
        began = time.monotonic()

        def end() -> None:
            count = self._stream.cancel(token)
            told.append(f"the call to cancel ended {count} after {time.monotonic() - began:.1f} s")

        later = threading.Timer(plan.cancel_after, end)
        later.start()
        try:
            self._grpc.read(plan.images[0].data, cancel_token=token, **_LONG)
        except RequestCancelled:
            return None
        finally:
            later.join()
        return f"read within {time.monotonic() - began:.1f} s; {told or 'the call to cancel failed'}"


def _differs(found: list[str], expected: list[str]) -> str | None:
    return None if found == expected else f"read {found}, not {expected}"
