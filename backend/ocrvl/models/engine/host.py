"""One engine instance: what comes in through Triton and the control channel, and what goes back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from ocrvl.control_channel.messages import Delta, Done, End, Message, Taken
from ocrvl.control_channel.server import ControlServer
from ocrvl.imaging.grid import PixelGrid
from ocrvl.messages import Array, PackedImages, Reading, encode_readings
from ocrvl.metrics.definitions import CancelReason
from ocrvl.models.cancel_scope import Work, WorkRegistry
from ocrvl.models.engine.admission import Admission
from ocrvl.models.engine.results import finish_reading, order_readings
from ocrvl.models.engine.serve import Job, read_images
from ocrvl.models.engine.supervisor import Supervisor
from ocrvl.models.request_record import RequestRecord
from ocrvl.postprocess import PaddleFunctions, is_quick
from ocrvl.triton.context import TensorReader
from ocrvl.triton.loop import LoopThread
from ocrvl.wire import PART_PARAMETER, STREAM_PARAMETER, Tensor


class Call(Protocol):
    """A request from Triton, and the way back to its caller."""

    @property
    def request_id(self) -> str:
        """The caller's id, empty where it gave none."""

    @property
    def parameters(self) -> Mapping[str, Any]:
        """Triton's request parameters."""

    @property
    def trace_headers(self) -> Mapping[str, str]:
        """W3C trace context."""

    @property
    def read(self) -> TensorReader:
        """Its input tensors."""

    def is_abandoned(self) -> bool:
        """Whether the caller has gone away, as far as Triton knows."""

    def answer(self, tensors: Mapping[Tensor, Array]) -> None:
        """Send the answer."""

    def fail(self, error: Exception) -> None:
        """Send an error as the answer."""


@dataclass(frozen=True)
class StreamAddress:
    """Where a request's text goes as it is generated: a client of the control channel, and its name for the stream."""

    client: str
    stream: str

    @classmethod
    def of(cls, parameters: Mapping[str, Any]) -> StreamAddress | None:
        """The address in a request's parameters; None where nobody asked for a stream."""
        client, slash, stream = str(parameters.get(STREAM_PARAMETER, "")).partition("/")
        return cls(client, stream) if slash else None


@dataclass(eq=False)
class _Taken:
    """A request inside, and what is known of it."""

    call: Call
    packed: PackedImages
    job: Job
    work: Work
    stream: StreamAddress | None
    arrived: float
    admitted: float = 0.0
    readings: list[Reading] = field(default_factory=list)


class EngineHost:
    """Takes requests from `execute`, which `take` blocks while the engine is full; answers each exactly once.

    `on_finished` is told of every request that had its answer.
    """

    def __init__(
        self,
        supervisor: Supervisor,
        admission: Admission,
        channel: ControlServer,
        works: WorkRegistry,
        paddle: PaddleFunctions,
        grid: PixelGrid,
        on_finished: Callable[[RequestRecord], None],
    ) -> None:
        self._supervisor = supervisor
        self._admission = admission
        self._channel = channel
        self._works = works
        self._paddle = paddle
        self._grid = grid
        self._on_finished = on_finished
        self._taken: set[_Taken] = set()
        # one at a time: threads that compute take turns with the event loop, which would wait for all of them
        self._long_text = asyncio.Lock()

    def take(self, call: Call, loop: LoopThread) -> None:
        """Take a request in, waiting to be admitted if need be; its answer follows from the event loop."""
        arrived = time.monotonic()
        try:
            packed = PackedImages.decode_tensors(call.read, self._grid)
            stream = StreamAddress.of(call.parameters)
            job = Job.begin(packed.options, call.request_id, call.trace_headers)
        except Exception as error:
            call.fail(error)
            self._on_finished(RequestRecord.of(call.request_id, arrived, error=error))
            return
        work = Work(*filter(None, [packed.options.cancel_token, stream.stream if stream else None]))
        taken = _Taken(call, packed, job, work, stream, arrived)
        self._taken.add(taken)
        self._works.add(work)
        try:
            self._admission.enter(len(packed), work, job.deadline)
        except Exception as error:
            self._finish(taken, error)
            return
        taken.admitted = time.monotonic()
        loop.submit(self._serve(taken))

    def end_abandoned(self) -> int:
        """End the work of callers that have gone away. Asks the server about each: not for an event loop.

        About how many it asked.
        """
        asked = tuple(self._taken)
        for taken in asked:
            if taken.call.is_abandoned():
                taken.work.end(CancelReason.CALLER)
        return len(asked)

    async def _serve(self, taken: _Taken) -> None:
        error: Exception | None = None
        try:
            task = asyncio.current_task()
            assert task is not None
            taken.work.attach(task)
            await self._read(taken)
        except asyncio.CancelledError:
            # the time limit may run out over a text that is being post-processed, where nothing else tells of it
            if taken.job.deadline is not None and time.monotonic() >= taken.job.deadline:
                taken.work.end(CancelReason.TIMEOUT)
            error = taken.work.error()
        except Exception as failure:
            error = failure
        self._admission.leave(len(taken.packed))
        self._finish(taken, error)

    async def _read(self, taken: _Taken) -> None:
        send = self._sender(taken.stream)
        on_text = None
        if send and taken.stream:
            name = taken.stream.stream
            send(Taken(name))

            def on_text(index: int, text: str) -> None:
                send(Delta(name, index, text))

        async with aclosing(read_images(self._supervisor, taken.packed, taken.job, on_text)) as done:
            async for reading in done:
                finished = await self._finish_reading(taken.packed, reading)
                taken.readings.append(finished)
                if send and taken.stream:
                    send(Done(taken.stream.stream, finished))
        if send and taken.stream:
            send(End(taken.stream.stream))

    def _sender(self, stream: StreamAddress | None) -> Callable[[Message], None] | None:
        """What sends to the client that asked for this stream, if it is there."""
        if stream is None or not self._channel.knows(stream.client):
            return None
        return partial(self._channel.send, stream.client)

    async def _finish_reading(self, packed: PackedImages, reading: Reading) -> Reading:
        if packed.options.raw or is_quick(reading.text, packed.tasks[reading.index]):
            return finish_reading(packed, reading, self._paddle)
        async with self._long_text:
            return await asyncio.to_thread(finish_reading, packed, reading, self._paddle)

    def _finish(self, taken: _Taken, error: Exception | None) -> None:
        self._works.remove(taken.work)
        self._taken.discard(taken)
        try:
            if error is None:
                taken.call.answer(encode_readings(order_readings(taken.packed, taken.readings)))
        except Exception as failure:
            error = failure
        if error is not None:
            taken.call.fail(error)
        self._on_finished(
            RequestRecord.of(
                taken.call.request_id,
                taken.arrived,
                admitted=taken.admitted,
                readings=taken.readings,
                images=len(taken.packed),
                trace_headers=taken.job.trace_headers,
                error=error,
                cancelled_by=taken.work.reason,
                is_part=PART_PARAMETER in taken.call.parameters,
            )
        )
