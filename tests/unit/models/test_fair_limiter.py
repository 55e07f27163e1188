"""`ocrvl.models.fair_limiter`: no document waits for all of another."""

from __future__ import annotations

import asyncio

from ocrvl.models.fair_limiter import FairLimiter


def test_documents_alternate_however_many_blocks_each_has() -> None:
    async def run() -> list[str]:
        limiter = FairLimiter(2)
        order: list[str] = []

        async def read(document: str, number: int) -> None:
            async with limiter.enter(document, 1):
                order.append(document)
                await asyncio.sleep(0.001)

        long = [asyncio.create_task(read("long", number)) for number in range(10)]
        await asyncio.sleep(0)
        short = [asyncio.create_task(read("short", number)) for number in range(2)]
        await asyncio.gather(*long, *short)
        assert limiter.admitted == 0
        return order

    order = asyncio.run(run())
    assert order.index("short") <= 3
    assert order[-1] == "long"


def test_blocks_that_stop_waiting_are_not_admitted() -> None:
    async def run() -> int:
        limiter = FairLimiter(4)
        async with limiter.enter("a", 100):
            waiting = asyncio.create_task(_enter(limiter))
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
        async with limiter.enter("c", 4):
            return limiter.admitted

    assert asyncio.run(run()) == 4


async def _enter(limiter: FairLimiter) -> None:
    async with limiter.enter("b", 2):
        pass
