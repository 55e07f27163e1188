"""Callers who mean well, while others attack: every request of theirs has an id and an outcome."""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Final

import tritonclient.grpc as triton_grpc
from tritonclient.utils import InferenceServerException

from ocrvl.wire import QUEUE_REFUSALS, ErrorCode, Model, Tensor, untag_message
from ocrvl_client import ServerUnavailable, error_from_triton
from perf.harness.tensors import encode_inputs, image_tensors
from stress.endurance.images import ReferenceImage

_SECONDS: Final = 60.0
"""What a request may take: a full queue holds one for as long at most."""

_PAUSE: Final = 0.1
_PAUSE_AFTER_ERROR: Final = 1.0
_ANSWERED: Final = re.compile(r"request request_id=(witness-\d+-\d+) outcome=ok ")


class Outcome(StrEnum):
    """What became of a request, as its caller saw it."""

    RIGHT = "right"
    WRONG = "wrong text"
    REFUSED = "refused"
    BROKEN = "connection broke"
    FAILED = "failed"
    LOST = "no answer"


@dataclass(frozen=True)
class AuditReport:
    """What became of all requests of a time. `unmatched` were answered here and not in the server's log, or twice."""

    outcomes: Counter[Outcome]
    unmatched: tuple[str, ...] = ()

    def faults(self, *, server_ended: bool) -> list[str]:
        """What must not have been; connections may only break where the server ended."""
        bad = [Outcome.WRONG, Outcome.FAILED, Outcome.LOST, *([] if server_ended else [Outcome.BROKEN])]
        found = [f"{self.outcomes[outcome]} good requests: {outcome}" for outcome in bad if self.outcomes[outcome]]
        return found + ([f"{len(self.unmatched)} ids do not reconcile"] if self.unmatched else [])


class RequestAudit:
    """Use in a `with` block: inside, `callers` threads read an image again and again, each request once.

    `log` is the server's, in which every answer of the engine has a line, `log_seconds` after the answer at the latest.
    """

    def __init__(
        self, grpc_url: str, image: ReferenceImage, log: Path, callers: int = 2, log_seconds: float = 5.0
    ) -> None:
        self._url = grpc_url
        self._image = image
        self._log = log
        self._log_seconds = log_seconds
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._outcomes: dict[str, Outcome] = {}
        self._closed: set[str] = set()
        self._answered = dict.fromkeys(range(callers), 0)
        self._threads = [threading.Thread(target=self._send_on, args=(number,)) for number in range(callers)]

    def __enter__(self) -> RequestAudit:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def wait_for_answers(self, within: float) -> None:
        """Wait until each caller has an answer to a request that it sends from now on, or the time is over.

        Where the server was started again, their connections come back a little later than new ones.
        """
        with self._lock:
            answered = dict(self._answered)
        deadline = time.monotonic() + within
        # the first answer from now on may be to a request of before
        while any(self._answered[caller] < answered[caller] + 2 for caller in answered) and time.monotonic() < deadline:
            time.sleep(_PAUSE)

    def report(self, *, with_log: bool = True) -> AuditReport:
        """The audit of all that ended since the last one, held against the log where it `with_log` can be."""
        with self._lock:
            ended = {name: outcome for name, outcome in self._outcomes.items() if name not in self._closed}
            self._closed |= set(ended)
        answered = [name for name, outcome in ended.items() if outcome is Outcome.RIGHT]
        return AuditReport(Counter(ended.values()), tuple(self._unmatched(answered)) if with_log else ())

    def _unmatched(self, answered: list[str]) -> list[str]:
        """Those of these ids that the log does not have just once; its lines come a moment after the answers."""
        deadline = time.monotonic() + self._log_seconds
        while True:
            logged = Counter(_ANSWERED.findall(self._log.read_text("utf-8", "replace")))
            wrong = [name for name in answered if logged[name] != 1]
            if not wrong or time.monotonic() > deadline:
                return wrong
            time.sleep(_PAUSE)

    def _send_on(self, caller: int) -> None:
        count = 0
        with triton_grpc.InferenceServerClient(self._url) as client:
            while not self._stop.wait(_PAUSE):
                name = f"witness-{caller}-{count}"
                count += 1
                outcome = self._send(client, name)
                if outcome is not Outcome.RIGHT:
                    self._stop.wait(_PAUSE_AFTER_ERROR)
                with self._lock:
                    self._outcomes[name] = outcome
                    self._answered[caller] += outcome is Outcome.RIGHT

    def _send(self, client: triton_grpc.InferenceServerClient, name: str) -> Outcome:
        tensors = encode_inputs(image_tensors(self._image.data, task="ocr"))
        try:
            answer = client.infer(Model.OCR.value, tensors, request_id=name, client_timeout=_SECONDS)
        except InferenceServerException as error:
            return _outcome_of(error)
        text = answer.as_numpy(Tensor.TEXT.value)[0].decode()
        return Outcome.RIGHT if text == self._image.text else Outcome.WRONG


def _outcome_of(error: InferenceServerException) -> Outcome:
    if error.status() == "StatusCode.DEADLINE_EXCEEDED":
        return Outcome.LOST
    if not isinstance(error_from_triton(error), ServerUnavailable):
        return Outcome.FAILED
    message = error.message() or ""
    told = untag_message(message)[0] is ErrorCode.UNAVAILABLE or QUEUE_REFUSALS[0] in message
    return Outcome.REFUSED if told else Outcome.BROKEN


@dataclass
class Recovery:
    """How long after an attack a good image was read, None where it was not in time."""

    seconds: float | None = None
    tries: int = field(default=0)


def read_again(grpc_url: str, image: ReferenceImage, within: float) -> Recovery:
    """Read the image until its text is right, on connections of its own."""
    began = time.monotonic()
    recovery = Recovery()
    while (left := within - (time.monotonic() - began)) > 0:
        recovery.tries += 1
        try:
            with triton_grpc.InferenceServerClient(grpc_url) as client:
                answer = client.infer(
                    Model.OCR.value,
                    encode_inputs(image_tensors(image.data, task="ocr")),
                    client_timeout=min(left, _SECONDS),
                )
            if answer.as_numpy(Tensor.TEXT.value)[0].decode() == image.text:
                recovery.seconds = time.monotonic() - began
                return recovery
        except InferenceServerException:
            time.sleep(_PAUSE)
    return recovery
