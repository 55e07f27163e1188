"""How a request is sent: with retries, within its timeout, and cancelled in the engine where it is abandoned."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass

from ocrvl.wire import Tensor
from ocrvl_client._calls import check_timeout, is_abandoned
from ocrvl_client._errors import OcrvlError
from ocrvl_client._messages import Array, Request, encode_cancel
from ocrvl_client._retry import Retry
from ocrvl_client._streams import L, P, StreamDecoder
from ocrvl_client._transports.protocol import CANCEL_SECONDS, AsyncTransport, Transport

Decode = Callable[[Mapping[Tensor, Array], float], list[P] | L]


@dataclass(frozen=True)
class Sender:
    """For threads. `timeout` in seconds is for requests without one of their own."""

    transport: Transport
    retry: Retry
    timeout: float

    def infer(
        self,
        request: Request,
        timeout: float | None = None,
        *,
        sleep: Callable[[float], object] = time.sleep,
        shares_token: bool = False,
    ) -> dict[Tensor, Array]:
        """The answer. `sleep` waits between attempts; a token that requests share cancels none of them."""

        def attempt(seconds: float) -> dict[Tensor, Array]:
            return self.transport.infer(request.with_new_id(), seconds)

        try:
            return self.retry.run(attempt, check_timeout(timeout, self.timeout), sleep=sleep)
        except BaseException as error:
            if request.token is not None and not shares_token and is_abandoned(error):
                self.cancel(request.token)
            raise

    def stream(
        self, encode: Callable[[], Request], decode: Decode[P, L], timeout: float | None
    ) -> Generator[P | L, None, None]:
        """The parts of a stream, the last when it has ended; `timeout` bounds the wait for each."""
        decoder = StreamDecoder(decode)
        for answer in self.transport.stream(encode(), check_timeout(timeout, self.timeout)):
            yield from decoder.decode(answer)
        yield from decoder.end()

    def cancel(self, *tokens: str) -> None:
        """Cancel in the engine what nobody waits for any more; where that fails, it ends by itself at some time."""
        with suppress(OcrvlError):
            for token in tokens:
                self.transport.infer(encode_cancel(token), CANCEL_SECONDS)


@dataclass(frozen=True)
class AsyncSender:
    """As `Sender`, for asyncio."""

    transport: AsyncTransport
    retry: Retry
    timeout: float

    async def infer(
        self, request: Request, timeout: float | None = None, *, shares_token: bool = False
    ) -> dict[Tensor, Array]:
        """As `Sender.infer`; a task that is cancelled abandons its request."""

        def attempt(seconds: float) -> Awaitable[dict[Tensor, Array]]:
            return self.transport.infer(request.with_new_id(), seconds)

        try:
            return await self.retry.run_async(attempt, check_timeout(timeout, self.timeout))
        except BaseException as error:
            if request.token is not None and not shares_token and is_abandoned(error):
                # a second cancel must not keep the first from reaching the engine
                await asyncio.shield(self.cancel(request.token))
            raise

    async def stream(
        self, encode: Callable[[], Awaitable[Request]], decode: Decode[P, L], timeout: float | None
    ) -> AsyncGenerator[P | L, None]:
        """As `Sender.stream`."""
        decoder = StreamDecoder(decode)
        answers = self.transport.stream(await encode(), check_timeout(timeout, self.timeout))
        async with aclosing(answers):
            async for answer in answers:
                for part in decoder.decode(answer):
                    yield part
        for last in decoder.end():
            yield last

    async def cancel(self, *tokens: str) -> None:
        """As `Sender.cancel`."""
        with suppress(OcrvlError):
            for token in tokens:
                await self.transport.infer(encode_cancel(token), CANCEL_SECONDS)
