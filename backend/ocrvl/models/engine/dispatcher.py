"""What a request to the engine passes through: admission, the engine, post-processing, and the control channel."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from contextlib import aclosing
from functools import partial

from ocrvl.control_channel.messages import Delta, Done, End, Message, Taken
from ocrvl.control_channel.server import ControlServer
from ocrvl.imaging.grid import PixelGrid
from ocrvl.messages import Reading, encode_readings
from ocrvl.models.admission import Admission
from ocrvl.models.cancel_scope import CancelRegistry
from ocrvl.models.dispatcher import Dispatcher
from ocrvl.models.engine.reader import Engine, read_images
from ocrvl.models.engine.request import EngineRequest
from ocrvl.models.engine.results import finish_reading, order_readings
from ocrvl.options import check_adapters
from ocrvl.postprocess import PaddleFunctions, is_quick
from ocrvl.triton.context import Call
from ocrvl.triton.loop import LoopThread


class EngineDispatcher(Dispatcher[EngineRequest]):
    """Has the images of requests read by `engine`, and their text sent over `channel` where that is asked for."""

    def __init__(
        self,
        engine: Engine,
        channel: ControlServer,
        paddle: PaddleFunctions,
        grid: PixelGrid,
        *,
        admission: Admission,
        loop: LoopThread,
        registry: CancelRegistry,
        on_finished: Callable[[EngineRequest], None],
        adapters: Collection[str] = (),
    ) -> None:
        super().__init__(admission, loop, on_finished, registry)
        self._engine = engine
        self._channel = channel
        self._paddle = paddle
        self._grid = grid
        self._adapters = adapters
        # one at a time: threads that compute alternate with the event loop, which would wait for all of them
        self._long_text = asyncio.Lock()

    def receive(self, call: Call) -> EngineRequest:
        """The request of a call."""
        return EngineRequest(call)

    def decode(self, request: EngineRequest) -> None:
        """Read it from its tensors. Raises `InvalidArgument`."""
        request.decode(self._grid)
        check_adapters(request.packed.options.adapter, self._adapters)

    async def work(self, request: EngineRequest) -> None:
        """Read its images, and send their text to the stream that it has."""
        send = self._sender(request)
        on_text = None
        if send:
            name = request.stream
            send(Taken(name))

            def on_text(index: int, text: str) -> None:
                send(Delta(name, index, text))

        async with aclosing(read_images(self._engine, request, on_text)) as done:
            async for reading in done:
                finished = await self._finish_reading(request, reading)
                request.readings.append(finished)
                if send:
                    send(Done(request.stream, finished))
        if send:
            send(End(request.stream))

    async def answer(self, request: EngineRequest) -> None:
        """Send its readings."""
        request.call.answer(encode_readings(order_readings(request.packed, request.readings)))

    def _sender(self, request: EngineRequest) -> Callable[[Message], None] | None:
        """What sends to the client that asked for this request's stream, if it is connected."""
        if not (request.stream and self._channel.knows(request.stream_client)):
            return None
        return partial(self._channel.send, request.stream_client)

    async def _finish_reading(self, request: EngineRequest, reading: Reading) -> Reading:
        packed = request.packed
        if packed.options.raw or is_quick(reading.text, packed.tasks[reading.index]):
            return finish_reading(packed, reading, self._paddle)
        async with self._long_text:
            return await asyncio.to_thread(finish_reading, packed, reading, self._paddle)
