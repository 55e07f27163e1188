"""Requests that are sent again and again, and how long each took."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import tritonclient.grpc.aio as triton_grpc

T = TypeVar("T")


@dataclass(frozen=True)
class Timed(Generic[T]):
    """What a request came to, and the seconds that it took."""

    seconds: float
    result: T


async def closed_loop(
    send: Callable[[int], Awaitable[T]], in_flight: int, *, requests: int | None = None, seconds: float = 0.0
) -> list[Timed[T]]:
    """Keep so many requests in flight, each sent when one before it has ended; their results in the order of sending.

    `send` is called with 0, 1, 2 and so on: `requests` times or, without a number, until `seconds` have passed; what is
    in flight then is waited for. The first error ends the loop and is raised.
    """
    began = time.perf_counter()
    results: dict[int, Timed[T]] = {}
    sent = 0

    async def worker() -> None:
        nonlocal sent
        while time.perf_counter() - began < seconds if requests is None else sent < requests:
            number, sent = sent, sent + 1
            at = time.perf_counter()
            result = await send(number)
            results[number] = Timed(time.perf_counter() - at, result)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(in_flight):
                group.create_task(worker())
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return [results[number] for number in sorted(results)]


async def infer_in_loop(
    url: str, model: str, inputs: Sequence[list[Any]], *, requests: int, in_flight: int
) -> list[Timed[Any]]:
    """A closed loop of unary gRPC requests, which take the inputs in turn; tritonclient's results."""
    async with triton_grpc.InferenceServerClient(url) as client:
        return await closed_loop(
            lambda number: client.infer(model, inputs[number % len(inputs)]), in_flight, requests=requests
        )


async def infer_stream(client: triton_grpc.InferenceServerClient, model: str, inputs: list[Any]) -> AsyncIterator[Any]:
    """The results of one request on a gRPC stream of its own. Raises what the server answers with."""

    async def request() -> AsyncIterator[dict[str, Any]]:
        yield {"model_name": model, "inputs": inputs}

    async for result, error in client.stream_infer(request()):
        if error:
            raise error
        yield result
