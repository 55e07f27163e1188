"""The life of a request to a model: taken → admitted → running → answered, exactly once."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from typing import Generic, TypeVar

from ocrvl.metrics.definitions import CancelReason
from ocrvl.models.admission import Admission
from ocrvl.models.cancel_scope import CancelRegistry
from ocrvl.models.request import Request
from ocrvl.triton.context import Call
from ocrvl.triton.loop import LoopThread

R = TypeVar("R", bound=Request[Call])


class Dispatcher(ABC, Generic[R]):
    """The way of every request: taken and admitted in `execute`, running and answered on the event loop `loop`.

    A model says what each step is for its requests. `registry` has those that a token may end; `on_finished` is told
    of every request that has its answer.
    """

    def __init__(
        self,
        admission: Admission,
        loop: LoopThread,
        on_finished: Callable[[R], None],
        registry: CancelRegistry | None = None,
    ) -> None:
        self.admission = admission
        self._loop = loop
        self._on_finished = on_finished
        self._registry = registry or CancelRegistry()
        self._pending: set[R] = set()

    @abstractmethod
    def receive(self, call: Call) -> R:
        """The request of a call, of which nothing has been read."""

    @abstractmethod
    def decode(self, request: R) -> None:
        """Read its tensors and parameters, and with them its deadline and its tokens. Raises `InvalidArgument`."""

    @abstractmethod
    async def work(self, request: R) -> None:
        """Do what it asks for. It may be cancelled at any time."""

    @abstractmethod
    async def answer(self, request: R) -> None:
        """Send the last response of a request whose work is done."""

    async def abort(self, request: R) -> None:
        """End what still runs elsewhere for a request whose work has failed or was ended."""

    def leave(self, request: R) -> None:
        """Make place for the next request."""
        self.admission.leave(request)

    def take(self, call: Call) -> None:
        """Take a request; returns when it is admitted or refused."""
        request = self.receive(call)
        try:
            self.decode(request)
            self._pending.add(request)
            self._registry.add(request.scope)
            self.admission.enter(request)
        except Exception as error:
            self._forget(request)
            self._finish(request, error)
            return
        request.admitted_at = time.monotonic()
        self._loop.submit(self._serve(request))

    def end_abandoned(self) -> int:
        """End the requests of callers that have gone away; of how many the server was asked.

        It is asked about one after the other, which is not for an event loop.
        """
        pending = tuple(self._pending)
        for request in pending:
            if request.call.is_abandoned():
                request.scope.end(CancelReason.CALLER)
        return len(pending)

    async def _serve(self, request: R) -> None:
        error = await request.run(self.work(request))
        if error is not None:
            with suppress(Exception):
                await self.abort(request)
        self.leave(request)
        self._forget(request)
        if error is None:
            try:
                await self.answer(request)
            except Exception as failure:
                error = failure
        self._finish(request, error)

    def _forget(self, request: R) -> None:
        """From here on nothing ends it."""
        self._pending.discard(request)
        self._registry.remove(request.scope)

    def _finish(self, request: R, error: Exception | None) -> None:
        if error is not None:
            request.call.fail(error)
        request.finish(error)
        self._on_finished(request)
