"""A full server: who waits, who goes first, who is refused; nothing is lost."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.grpc.aio as triton_aio
from tritonclient.utils import InferenceServerException

from ocrvl.serving.server import TritonServer
from ocrvl.wire import Model
from ocrvl_client import Client, InvalidRequest, RequestCancelled
from tests.integration.streams import LONG, cancel, fill, inputs, metric, wait_for

IN_FLIGHT = "ocrvl_engine_pictures_in_flight"
LIMIT = "ocrvl_engine_picture_limit"


@contextmanager
def full_engine(server: TritonServer, png: bytes) -> Iterator[None]:
    """The engine has all the pictures that it takes, until the block ends."""
    limit = int(metric(server, LIMIT))
    token = uuid.uuid4().hex
    ended: list[str] = []
    with triton_grpc.InferenceServerClient(server.grpc_url) as client:
        for _ in range(limit):
            tensors = fill(inputs(png, cancel_token=token, **LONG))
            client.async_infer(Model.OCR.value, tensors, lambda result, error: ended.append(str(error or result)))
        wait_for(lambda: bool(ended) or metric(server, IN_FLIGHT) == limit)
        assert not ended, "what should take long did not"
        try:
            yield
            assert not ended, "what should take long did not"
        finally:
            cancel(server, token)
            wait_for(lambda: metric(server, IN_FLIGHT) == 0)


def test_a_thousand_requests_at_once_are_answered_or_refused_each(server: TritonServer, png: bytes) -> None:
    limit = metric(server, LIMIT)
    tensors = fill(inputs(png, max_tokens=12))
    highest = 0.0

    async def ask(client: Any, number: int) -> str:
        try:
            result = await client.infer(Model.OCR.value, tensors, request_id=str(number), client_timeout=120)
        except InferenceServerException as error:
            return f"{error.status()} {str(error.message()).rpartition('] ')[2]}"
        assert result.get_response().id == str(number)
        return "answered"

    async def storm() -> list[str]:
        async with triton_aio.InferenceServerClient(server.grpc_url) as client:
            return await asyncio.gather(*(ask(client, number) for number in range(1000)))

    with ThreadPoolExecutor() as pool:
        done = pool.submit(asyncio.run, storm())
        while not done.done():
            highest = max(highest, metric(server, IN_FLIGHT))
            time.sleep(0.2)
    outcomes = Counter(done.result())
    assert set(outcomes) == {"answered", "StatusCode.UNAVAILABLE Exceeds maximum queue size"}
    assert outcomes["answered"] >= limit
    assert highest <= limit
    with Client(server.grpc_url) as client:
        assert client.read(png).text == "Soup of the day"


def test_a_refusal_comes_while_the_engine_is_full_and_not_after(server: TritonServer, png: bytes) -> None:
    with full_engine(server, png), triton_grpc.InferenceServerClient(server.grpc_url) as client:
        refused: list[InferenceServerException] = []
        queued: Counter[bool] = Counter()
        for _ in range(200):
            client.async_infer(
                Model.OCR.value,
                fill(inputs(png, max_tokens=1)),
                lambda result, error: refused.append(error) if error else queued.update([True]),
            )
        wait_for(lambda: len(refused) > 50)
        assert not queued
        assert {error.status() for error in refused} == {"StatusCode.UNAVAILABLE"}
    wait_for(lambda: len(refused) + queued[True] == 200)


def test_a_higher_priority_goes_first(server: TritonServer, png: bytes) -> None:
    order: list[str] = []
    with ThreadPoolExecutor(20) as pool:
        with full_engine(server, png):
            low = [pool.submit(_ask, server, png, 3, "low", order) for _ in range(16)]
            time.sleep(1)
            high = pool.submit(_ask, server, png, 1, "high", order)
            time.sleep(0.5)
            assert not order
        for request in [*low, high]:
            request.result(timeout=60)
    # some had left the queue already: one at each instance of `preprocess`, and those that it had decoded
    assert order.index("high") < 8


def _ask(server: TritonServer, png: bytes, priority: int, name: str, order: list[str]) -> None:
    with triton_grpc.InferenceServerClient(server.grpc_url) as client:
        client.infer(Model.OCR.value, fill(inputs(png, max_tokens=1)), priority=priority, client_timeout=60)
    order.append(name)


def test_the_time_limit_counts_while_a_request_waits(server: TritonServer, png: bytes) -> None:
    with (
        full_engine(server, png),
        Client(server.grpc_url) as client,
        pytest.raises(RequestCancelled, match="timeout_ms has passed before"),
    ):
        client.read(png, timeout_ms=300)


def test_a_token_ends_a_request_that_waits_at_the_engine_s_door(server: TritonServer, png: bytes) -> None:
    token = uuid.uuid4().hex
    with full_engine(server, png), Client(server.grpc_url) as client, ThreadPoolExecutor() as pool:
        waiting: list[Future[Any]] = [pool.submit(client.read, png, cancel_token=token, max_tokens=1)]
        time.sleep(0.5)
        cancel(server, token)
    with pytest.raises(RequestCancelled, match="by its token"):
        waiting[0].result(timeout=30)


def test_a_request_of_more_pictures_than_the_engine_takes_waits_for_nothing(server: TritonServer, png: bytes) -> None:
    with Client(server.grpc_url) as client, pytest.raises(InvalidRequest, match="65 pictures"):
        client.read_batch([png] * 65)


def test_many_pictures_in_one_request_are_let_in_together(server: TritonServer, png: bytes) -> None:
    with Client(server.grpc_url) as client:
        assert [reading.text for reading in client.read_batch([png] * 64)] == ["Soup of the day"] * 64
