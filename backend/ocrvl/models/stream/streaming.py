"""Text as it is generated: a request goes to `ocr` through Triton, its text comes back over the control channel."""

from __future__ import annotations

import asyncio
import threading
import time
import uuid
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from ocrvl.control_channel.messages import Delta, Done, End, Message, Taken
from ocrvl.errors import Cancelled, OcrError, Unavailable
from ocrvl.messages import Array, encode_delta, encode_done
from ocrvl.metrics.definitions import CancelReason
from ocrvl.options import Options, parse_options
from ocrvl.triton.context import TensorReader
from ocrvl.triton.loop import LoopThread
from ocrvl.wire import Tensor

_LOOK_SECONDS: Final = 0.1
_LAST_MESSAGES_SECONDS: Final = 5.0
"""How long the control channel may lag behind Triton: both come from one process, this one first."""


class StreamCall(Protocol):
    """A request from Triton that is answered in several responses."""

    @property
    def request_id(self) -> str:
        """The caller's id, empty where it gave none."""

    @property
    def read(self) -> TensorReader:
        """Its input tensors."""

    def is_abandoned(self) -> bool:
        """Whether the caller has gone away."""

    def send(self, tensors: Mapping[Tensor, Array]) -> None:
        """Send one response."""

    def fail(self, error: Exception) -> None:
        """Send an error, the last response."""

    def end(self) -> None:
        """Send nothing more."""


class Channel(Protocol):
    """The client's end of the control channel."""

    name: str

    async def cancel(self, token: str) -> int:
        """End the requests that carry this token."""


@dataclass(frozen=True)
class _Lost:
    """The engine's process that had the stream has gone."""


@dataclass(frozen=True)
class _Answered:
    """`ocr` has answered, with an error or without."""

    error: OcrError | None


@dataclass(eq=False)
class _Stream:
    call: StreamCall
    deadline: float | None
    name: str = field(default_factory=lambda: uuid.uuid4().hex)
    events: asyncio.Queue[Message | _Lost | _Answered] = field(default_factory=asyncio.Queue)
    replica: str = ""
    task: asyncio.Task[None] | None = None
    """While it may be ended."""

    def end(self) -> None:
        """End it, once, unless it has ended: what follows must not be interrupted."""
        if self.task:
            self.task.cancel()
            self.task = None


class StreamHost:
    """Takes requests from `execute`, which `take` blocks while `max_calls` are on their way; ends each exactly once.

    `ask` sends a request to `ocr` under a stream's address and raises `OcrError`. `on_cancelled` is told why
    a stream was ended here, `on_delta` of every piece of text.
    """

    def __init__(
        self,
        ask: Callable[[StreamCall, str], Coroutine[Any, Any, None]],
        max_calls: int,
        *,
        on_cancelled: Callable[[CancelReason], None] = lambda _reason: None,
        on_delta: Callable[[], None] = lambda: None,
    ) -> None:
        self._ask = ask
        self._room = threading.Semaphore(max_calls)
        self._on_cancelled = on_cancelled
        self._on_delta = on_delta
        self._streams: dict[str, _Stream] = {}
        self.channel: Channel | None = None

    @property
    def open_streams(self) -> int:
        """Streams on their way."""
        return len(self._streams)

    def take(self, call: StreamCall, loop: LoopThread) -> None:
        """Take a request in, waiting while too many are on their way."""
        try:
            raw = call.read.optional(Tensor.OPTIONS)
            options = parse_options(None if raw is None else raw.item())
        except Exception as error:
            call.fail(error)
            return
        deadline = _deadline(options)
        while not self._room.acquire(timeout=_LOOK_SECONDS):
            if call.is_abandoned():
                self._on_cancelled(CancelReason.CALLER)
                call.fail(Cancelled("ended while it waited"))
                return
            if deadline is not None and time.monotonic() >= deadline:
                self._on_cancelled(CancelReason.TIMEOUT)
                call.fail(Cancelled("ended while it waited"))
                return
        loop.submit(self._serve(call, deadline))

    def on_message(self, replica: str, message: Message) -> None:
        """Take in what an engine says."""
        stream = self._streams.get(getattr(message, "stream", ""))
        if stream is None:
            return
        if isinstance(message, Taken):
            stream.replica = replica
        stream.events.put_nowait(message)

    def on_lost(self, replica: str) -> None:
        """An engine's process has gone, and its streams with it."""
        for stream in self._streams.values():
            if stream.replica == replica:
                stream.events.put_nowait(_Lost())

    def end_abandoned(self) -> int:
        """End the streams of callers that have gone away. Asks the server about each: not for an event loop.

        About how many it asked.
        """
        asked = tuple(self._streams.values())
        for stream in asked:
            if (task := stream.task) and stream.call.is_abandoned():
                task.get_loop().call_soon_threadsafe(stream.end)
        return len(asked)

    async def _serve(self, call: StreamCall, deadline: float | None) -> None:
        stream = _Stream(call, deadline, task=asyncio.current_task())
        assert self.channel is not None
        self._streams[stream.name] = stream
        asking = asyncio.create_task(self._ask(call, f"{self.channel.name}/{stream.name}"))
        asking.add_done_callback(lambda done: stream.events.put_nowait(_Answered(_outcome(done))))
        error = await self._end_of(stream)
        try:
            if error is not None and not asking.done():
                await self.channel.cancel(stream.name)
            call.end() if error is None else call.fail(error)
            # the call holds one of the server's threads until it is answered
            with suppress(Exception):
                await asking
        finally:
            del self._streams[stream.name]
            self._room.release()

    async def _end_of(self, stream: _Stream) -> Exception | None:
        """Send on what comes until the stream ends, and then the error that ended it."""
        try:
            async with asyncio.timeout_at(stream.deadline):
                await self._forward(stream)
        except asyncio.CancelledError:
            self._on_cancelled(CancelReason.CALLER)
            return Cancelled("its caller went away")
        except TimeoutError:
            self._on_cancelled(CancelReason.TIMEOUT)
            return Cancelled("timeout_ms has passed")
        except Exception as error:
            return error
        finally:
            stream.task = None
        return None

    async def _forward(self, stream: _Stream) -> None:
        """Send on what comes until all images are done. Raises the error that ends the stream instead."""
        is_answered = has_ended = False
        while not (is_answered and has_ended):
            try:
                event = await asyncio.wait_for(stream.events.get(), _LAST_MESSAGES_SECONDS if is_answered else None)
            except TimeoutError:
                raise Unavailable("the engine's last words were lost: send the request again") from None
            match event:
                case Delta(_, index, text):
                    stream.call.send(encode_delta(index, text))
                    self._on_delta()
                case Done(_, reading):
                    stream.call.send(encode_done(reading))
                case End():
                    has_ended = True
                case _Answered(error):
                    if error is not None:
                        raise error
                    is_answered = True
                case _Lost():
                    raise Unavailable("the engine's process has ended: send the request again in a while")


def _deadline(options: Options) -> float | None:
    return None if options.timeout_ms is None else time.monotonic() + options.timeout_ms / 1000


def _outcome(done: asyncio.Task[None]) -> OcrError | None:
    if done.cancelled():
        return Cancelled("the server is stopping")
    error = done.exception()
    return error if isinstance(error, OcrError) or error is None else Unavailable(f"the call to ocr failed: {error!r}")
