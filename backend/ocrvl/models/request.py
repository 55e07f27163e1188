"""What is known of a request to a model: its deadline, its cancellation, its times, how it ended."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Mapping
from typing import Any, ClassVar, Generic, TypeVar

from ocrvl.errors import Cancelled
from ocrvl.metrics.definitions import CancelReason, Outcome
from ocrvl.models.cancel_scope import CancelScope
from ocrvl.models.logfmt import logfmt
from ocrvl.triton.context import InferenceRequest

C = TypeVar("C", bound=InferenceRequest)


class Request(Generic[C]):
    """One request and all that is known of it; `call` is Triton's side of it.

    `units` is how many it is to the model's admission. `deadline` is when it is ended, in seconds of `time.monotonic`,
    as are all its times. Its line in the log and what metrics count are made of it once it is `finish`ed.
    """

    event: ClassVar[str] = "request"
    """The first word of its line."""

    def __init__(self, call: C) -> None:
        self.call = call
        self.units = 1
        self.scope = CancelScope()
        self.deadline: float | None = None
        self.trace_headers: Mapping[str, str] = {}
        self.error: Exception | None = None
        self.taken_at = time.monotonic()
        self.admitted_at: float | None = None
        self.finished_at = self.taken_at

    def set_timeout(self, seconds: float | None) -> None:
        """End it so many seconds after it was taken, if no earlier deadline is set."""
        if seconds is not None:
            deadline = self.taken_at + seconds
            self.deadline = deadline if self.deadline is None else min(deadline, self.deadline)

    def check(self) -> None:
        """Raise `Cancelled` if it was ended or its deadline has passed."""
        if self.deadline is not None and time.monotonic() >= self.deadline:
            self.scope.end(CancelReason.TIMEOUT)
            if self.scope.reason is CancelReason.TIMEOUT and self.admitted_at is None:
                raise Cancelled("timeout_ms has passed before the request was admitted")
        self.scope.check()

    async def run(self, work: Coroutine[Any, Any, None]) -> Exception | None:
        """Do its work until that is done, fails, or is ended: the error that ended it, None where it is done.

        What its task does afterwards is not cancelled any more.
        """
        task = asyncio.current_task()
        assert task is not None
        self.scope.attach(task)
        try:
            # an event loop's clock is time.monotonic
            async with asyncio.timeout_at(self.deadline) as timeout:
                await work
        except asyncio.CancelledError:
            return self.scope.error()
        except Exception as error:
            if not timeout.expired():
                return error
            self.scope.end(CancelReason.TIMEOUT)
            return self.scope.error()
        finally:
            self.scope.detach()
        return None

    def finish(self, error: Exception | None) -> None:
        """It has its answer: a result, or this error."""
        self.error = error
        self.finished_at = time.monotonic()

    @property
    def outcome(self) -> Outcome:
        """How it ended."""
        return Outcome.from_error(self.error)

    @property
    def cancelled_by(self) -> CancelReason | None:
        """What ended it early, here; None where nothing did."""
        return self.scope.reason if self.outcome is Outcome.CANCELLED else None

    @property
    def waited(self) -> float:
        """Seconds until it was admitted; all of them where it never was."""
        return (self.admitted_at or self.finished_at) - self.taken_at

    @property
    def seconds(self) -> float:
        """Seconds from when it was taken to its answer."""
        return self.finished_at - self.taken_at

    def counts(self) -> Mapping[str, int | str]:
        """What its line counts of it."""
        return {}

    def line(self) -> str:
        """Its line in the log. A fault of the server keeps the error's kind."""
        fields: dict[str, Any] = {
            "request_id": self.call.request_id,
            "outcome": self.outcome,
            **self.counts(),
            "waited_s": round(self.waited, 4),
            "seconds": round(self.seconds, 4),
        }
        if trace := self.trace_headers.get("traceparent"):
            fields["traceparent"] = trace
        if self.error is not None:
            fields["error"] = repr(self.error) if self.outcome is Outcome.INTERNAL else str(self.error)
        return logfmt(self.event, fields)
