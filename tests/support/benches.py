"""Parts of the core set up with doubles around them, for the unit tests of what needs much around it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ocrvl.control_channel.client import ControlClient
from ocrvl.control_channel.messages import Availability, AvailabilityChanged, End, Message, Taken
from ocrvl.control_channel.server import ControlServer
from ocrvl.errors import Cancelled
from ocrvl.messages import PackedImages, encode_texts
from ocrvl.metrics.definitions import CancelReason, RestartReason
from ocrvl.models.cancel_scope import CancelRegistry
from ocrvl.models.engine.admission import EngineAdmission
from ocrvl.models.engine.dispatcher import EngineDispatcher
from ocrvl.models.engine.request import EngineRequest
from ocrvl.models.engine.supervisor import EnginePolicy, RunningEngine, Supervisor
from ocrvl.models.stream.dispatcher import StreamDispatcher
from ocrvl.models.stream.request import StreamRequest
from ocrvl.postprocess import PaddleFunctions
from ocrvl.triton.context import Call
from ocrvl.triton.loop import LoopThread
from ocrvl.wire import EngineState, Tensor
from tests.support.doubles import GRID, MemoryCall, NoPostprocessing, ScriptedEngine, until, wait_until

FOR_EVER = 3600.0
"""Seconds that no test lasts."""


@dataclass(frozen=True, kw_only=True)
class Policy(EnginePolicy):
    """Notes the failures for which a pause was asked, and takes none."""

    stall_seconds: float = FOR_EVER
    max_failures: int = 3
    failure_window_seconds: float = FOR_EVER
    failures: list[int] = field(default_factory=list)

    def pause(self, failures: int) -> float:
        self.failures.append(failures)
        return 0.0


@dataclass
class Workshop:
    """Starts what it was given, one after the other: an engine, or an error. Keeps what the supervisor reports."""

    engines: list[ScriptedEngine | Exception]
    starts: int = 0
    states: list[EngineState] = field(default_factory=list)
    restarts: list[RestartReason] = field(default_factory=list)
    trims: int = 0
    log: list[str] = field(default_factory=list)
    may_start: asyncio.Event = field(default_factory=asyncio.Event)

    async def start(self) -> RunningEngine:
        await self.may_start.wait()
        self.starts += 1
        engine = self.engines.pop(0)
        if isinstance(engine, Exception):
            raise engine
        return engine

    def _count_trim(self) -> None:
        self.trims += 1

    @asynccontextmanager
    async def supervisor(self, policy: EnginePolicy, check_seconds: float = 0.001) -> AsyncIterator[Supervisor]:
        self.may_start.set()
        supervisor = Supervisor(
            self.start,
            policy,
            on_state=self.states.append,
            on_restart=self.restarts.append,
            on_trimmed=self._count_trim,
            log=self.log.append,
            check_seconds=check_seconds,
        )
        await supervisor.run()
        try:
            yield supervisor
        finally:
            await supervisor.stop()


class EngineBench:
    """A dispatcher around a scripted engine, which takes `limit` images at a time, and a client on its control channel.

    `announced` is what the engine announces, `heard` what the client hears of streams. A restart makes a new `engine`.
    """

    def __init__(self, folder: Path, limit: int, paddle: PaddleFunctions | None = None) -> None:
        self.engine = ScriptedEngine()
        self.finished: list[EngineRequest] = []
        self.heard: list[Message] = []
        self.registry = CancelRegistry()
        self.loop = LoopThread("engine")
        self.channel = ControlServer(folder / "e.sock", self.registry.cancel)
        self.announced: list[Availability] = []
        self.admission = EngineAdmission(limit, 0.0, self.announced.append)
        policy = Policy()
        self.supervisor = Supervisor(self._start, policy, on_state=self._on_state, check_seconds=0.01)
        self.loop.run(self.channel.start())
        self.loop.run(self.supervisor.run())
        self.client = ControlClient(folder, lambda _replica, message: self._hear(message))
        self.loop.run(self.client.start())
        wait_until(lambda: self.channel.knows(self.client.name))
        self.dispatcher = EngineDispatcher(
            self.supervisor,
            self.channel,
            paddle or NoPostprocessing(),
            GRID,
            admission=self.admission,
            loop=self.loop,
            registry=self.registry,
            on_finished=self.finished.append,
        )

    def send(self, packed: PackedImages, *replies: str | Exception | None, **parameters: Any) -> MemoryCall:
        """A request, and what the engine will reply from now on."""
        self.engine.replies = replies or self.engine.replies
        call = MemoryCall(packed.encode_tensors(), "id-7", parameters)
        self.dispatcher.take(call)
        return call

    def send_and_wait(self, packed: PackedImages, **parameters: Any) -> MemoryCall:
        """A request whose images the engine is reading and will never have read."""
        before = self.engine.at_work
        call = self.send(packed, None, **parameters)
        wait_until(lambda: self.engine.at_work == before + len(packed))
        return call

    def request(self) -> EngineRequest:
        """The one request that has its answer."""
        wait_until(lambda: self.finished)
        (request,) = self.finished
        return request

    def stop(self) -> None:
        self.loop.drain()
        for part in (self.client, self.channel, self.supervisor):
            self.loop.run(part.stop())
        self.loop.stop()

    async def _start(self) -> ScriptedEngine:
        self.engine = ScriptedEngine()
        return self.engine

    def _on_state(self, state: EngineState) -> None:
        self.admission.set_up(state is EngineState.READY)

    def _hear(self, message: Message) -> None:
        if not isinstance(message, AvailabilityChanged):
            self.heard.append(message)


Script = Callable[["Ocr", str], Awaitable[None]]


class Ocr:
    """The model `ocr`, the control channel, and a dispatcher of streams between them and its callers.

    For each stream it does what `script` says, and answers when that returns or raises. `asked` are the names of the
    streams, `cancelled` those that the dispatcher had ended. Scripts may wait for `may_answer`.
    """

    name = "client"

    def __init__(self, script: Script, max_calls: int) -> None:
        self.script = script
        self.asked: list[str] = []
        self.cancelled: list[str] = []
        self.may_answer = False
        self.finished: list[StreamRequest] = []
        self.deltas = 0
        self.loop = LoopThread("streams")
        self.dispatcher = StreamDispatcher(
            self._call, max_calls, loop=self.loop, on_finished=self.finished.append, on_delta=self._count
        )
        self.dispatcher.channel = self

    @property
    def open_streams(self) -> int:
        """Streams that hold a call to `ocr`."""
        return self.dispatcher.admission.admitted

    @property
    def reasons(self) -> list[CancelReason]:
        """What ended streams here."""
        return [request.cancelled_by for request in self.finished if request.cancelled_by]

    def say(self, message: Message, replica: str = "e") -> None:
        """What an engine says, from a script."""
        self.dispatcher.on_message(replica, message)

    def lose(self, replica: str) -> None:
        """An engine goes away."""
        self._on_loop(lambda: self.dispatcher.on_lost(replica))

    def hear(self, message: Message) -> None:
        """What an engine says, from a test."""
        self._on_loop(lambda: self.say(message))

    def request(self, options: str = "") -> MemoryCall:
        return MemoryCall({Tensor.OPTIONS: encode_texts([options])} if options else {})

    def take(self, options: str = "") -> MemoryCall:
        """A request that is on its way to `ocr`."""
        before = len(self.asked)
        call = self.request(options)
        self.dispatcher.take(call)
        wait_until(lambda: len(self.asked) > before)
        return call

    def take_in_thread(self, call: MemoryCall) -> threading.Thread:
        thread = threading.Thread(target=self.dispatcher.take, args=(call,), daemon=True)
        thread.start()
        return thread

    async def cancel(self, token: str) -> int:
        self.cancelled.append(token)
        return 1

    async def _call(self, call: Call, address: str) -> None:
        client, _, stream = address.partition("/")
        assert client == self.name
        self.asked.append(stream)
        await self.script(self, stream)

    def _on_loop(self, step: Callable[[], None]) -> None:
        async def take_step() -> None:
            step()

        self.loop.run(take_step())

    def _count(self) -> None:
        self.deltas += 1


@contextmanager
def running_ocr(script: Script, max_calls: int = 4) -> Iterator[Ocr]:
    ocr = Ocr(script, max_calls)
    try:
        yield ocr
    finally:
        ocr.may_answer = True
        ocr.loop.drain()
        ocr.loop.stop()
    assert ocr.open_streams == 0


async def wait_for_cancel(ocr: Ocr, stream: str) -> None:
    """A script: the engine ends the stream when that is cancelled and `may_answer`."""
    ocr.say(Taken(stream))
    await until(lambda: stream in ocr.cancelled and ocr.may_answer)
    raise Cancelled("cancelled by its token")


async def wait_for_permission(ocr: Ocr, stream: str) -> None:
    """A script: the stream ends without text once `ocr.may_answer`."""
    await until(lambda: ocr.may_answer)
    ocr.say(End(stream))
