"""Text as it is generated: a request goes to `ocr` through Triton, its text comes back over the control channel."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final, Protocol

from ocrvl.control_channel.messages import Delta, Done, End, Message, Taken
from ocrvl.errors import Cancelled, OcrError, Unavailable
from ocrvl.messages import encode_delta, encode_done
from ocrvl.models.admission import Admission
from ocrvl.models.dispatcher import Dispatcher
from ocrvl.models.stream.request import EngineLost, OcrAnswered, StreamRequest
from ocrvl.triton.context import Call
from ocrvl.triton.loop import LoopThread

_LAST_MESSAGES_SECONDS: Final = 5.0
"""How long the control channel may lag behind Triton: both come from one process, this one first."""


class Channel(Protocol):
    """The client's end of the control channel; `name` is what engines address streams to."""

    name: str

    async def cancel(self, token: str) -> int:
        """End the requests that carry this token."""


class StreamDispatcher(Dispatcher[StreamRequest]):
    """Sends requests on to `ocr`, and their text back to their callers.

    `call_ocr` sends a request to `ocr` under a stream's address and raises `OcrError`; it holds one of the server's
    threads until it is answered, so at most `max_calls` are admitted. `on_delta` is told of every piece of text. The
    `channel` is set before the first request.
    """

    channel: Channel

    def __init__(
        self,
        call_ocr: Callable[[Call, str], Coroutine[Any, Any, None]],
        max_calls: int,
        *,
        loop: LoopThread,
        on_finished: Callable[[StreamRequest], None] = lambda _request: None,
        on_delta: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(Admission(max_calls), loop, on_finished)
        self._call_ocr = call_ocr
        self._on_delta = on_delta
        self._streams: dict[str, StreamRequest] = {}

    def on_message(self, replica: str, message: Message) -> None:
        """Take in what an engine says."""
        request = self._streams.get(getattr(message, "stream", ""))
        if request is None:
            return
        if isinstance(message, Taken):
            request.replica = replica
        request.events.put_nowait(message)

    def on_lost(self, replica: str) -> None:
        """An engine's process has gone, and its streams with it."""
        for request in self._streams.values():
            if request.replica == replica:
                request.events.put_nowait(EngineLost())

    def receive(self, call: Call) -> StreamRequest:
        """The request of a call."""
        return StreamRequest(call)

    def decode(self, request: StreamRequest) -> None:
        """Read its options. Raises `InvalidArgument`."""
        request.decode()

    async def work(self, request: StreamRequest) -> None:
        """Call `ocr`, and send on what comes until all images are done."""
        self._streams[request.name] = request
        call = self._call_ocr(request.call, f"{self.channel.name}/{request.name}")
        request.ocr_call = self._loop.create_task(call)
        request.ocr_call.add_done_callback(lambda done: request.events.put_nowait(OcrAnswered(_outcome(done))))
        try:
            await self._forward(request)
        finally:
            del self._streams[request.name]

    async def abort(self, request: StreamRequest) -> None:
        """End it in the engine."""
        if not request.ocr_call.done():
            await self.channel.cancel(request.name)

    def leave(self, request: StreamRequest) -> None:
        """Make place once `ocr` has answered: until then the call holds a thread."""
        request.ocr_call.add_done_callback(lambda _: self.admission.leave(request))

    async def answer(self, request: StreamRequest) -> None:
        """Nothing follows the text of the last image."""
        request.call.end()

    async def _forward(self, request: StreamRequest) -> None:
        """Send on what comes until all images are done. Raises the error that ends the stream instead."""
        is_answered = has_ended = False
        while not (is_answered and has_ended):
            try:
                event = await asyncio.wait_for(request.events.get(), _LAST_MESSAGES_SECONDS if is_answered else None)
            except TimeoutError:
                raise Unavailable("the engine's last messages were lost: send the request again") from None
            match event:
                case Delta(_, index, text):
                    request.call.send(encode_delta(index, text))
                    self._on_delta()
                case Done(_, reading):
                    request.call.send(encode_done(reading))
                case End():
                    has_ended = True
                case OcrAnswered(error):
                    if error is not None:
                        raise error
                    is_answered = True
                case EngineLost():
                    raise Unavailable("the engine's process has ended: send the request again in a while")


def _outcome(done: asyncio.Task[None]) -> OcrError | None:
    if done.cancelled():
        return Cancelled("the server is stopping")
    error = done.exception()
    return error if isinstance(error, OcrError) or error is None else Unavailable(f"the call to ocr failed: {error!r}")
