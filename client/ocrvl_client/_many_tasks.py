"""Many images by tasks, each in a request of its own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from typing import Any

from ocrvl_client._calls import as_ocrvl_error
from ocrvl_client._many import Many, OutcomeT, PendingReads, Started, T
from ocrvl_client._messages import Request
from ocrvl_client._sender import AsyncSender


async def read_each(sender: AsyncSender, many: Many[T, OutcomeT]) -> AsyncGenerator[OutcomeT, None]:
    """The outcomes of many images. A task that is cancelled meanwhile, or `aclose`, cancels what is in flight."""
    pending: PendingReads[OutcomeT] = PendingReads(
        many.images, many.options, concurrency=many.concurrency, ordered=many.ordered
    )
    outcomes: asyncio.Queue[OutcomeT] = asyncio.Queue()
    reads: set[asyncio.Task[None]] = set()

    async def read(started: Started) -> None:
        result, failure = None, None
        try:
            began = time.monotonic()
            request = await encode_in_thread(many.encode, started.image, started.options)
            answer = await sender.infer(request, many.timeout, shares_token=pending.shares_token)
            result = many.decode(answer, time.monotonic() - began)
        except Exception as error:
            failure = as_ocrvl_error(error)
        pending.release(started.index)
        outcomes.put_nowait(many.outcome(started.index, started.image, result, failure))

    try:
        while True:
            while (started := pending.start_next()) is not None:
                reads.add(running := asyncio.create_task(read(started)))
                running.add_done_callback(reads.discard)
            if not pending.in_flight:
                return
            for outcome in pending.finish(await outcomes.get()):
                yield outcome
    finally:
        left = list(reads)
        for running in left:
            running.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        if pending.shares_token:
            await asyncio.shield(sender.cancel(*pending.tokens()))


async def encode_in_thread(encode: Callable[..., Request], *arguments: Any) -> Request:
    """A request, made in a thread where a file must be opened for it."""
    first = arguments[0]
    if all(isinstance(one, bytes) for one in (first if isinstance(first, list | tuple) else [first])):
        return encode(*arguments)
    return await asyncio.to_thread(encode, *arguments)
