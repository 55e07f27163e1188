"""A full server: who waits, who goes first, who is refused; nothing is lost."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from statistics import mean
from typing import Any

import psutil
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.grpc.aio as triton_aio
from tritonclient.utils import InferenceServerException

from ocrvl.launcher.server import TritonServer
from ocrvl.wire import Model
from ocrvl_client import Client, InvalidRequest, RequestCancelled
from perf.harness.tensors import encode_inputs, image_tensors
from tests.support.full_engine import IN_FLIGHT, LIMIT, full_engine, is_idle
from tests.support.streams import cancel, metric, wait_for

MEMORY_OF_A_STORM = 256 * 1024**2
"""Bytes by which all processes together may grow: threads and allocators keep some. The patches of a thousand lines,
if they were made and kept, would be more."""


def _found_the_queue_full(server: TritonServer) -> float:
    """Requests that were refused so, by Triton's counters: the sum of docs/metrics.md."""
    return (
        metric(server, "nv_inference_request_success", model=Model.OCR)
        + metric(server, "nv_inference_request_failure", model=Model.OCR, reason="OTHER") / 2
        - metric(server, "nv_inference_request_success", model=Model.PREPROCESS)
        - metric(server, "nv_inference_request_failure", model=Model.PREPROCESS)
    )


def _resident_bytes(server: TritonServer) -> int:
    """Memory of all processes of the server; what several of them have mapped is counted with each."""
    root = psutil.Process(server.pid)
    return sum(process.memory_info().rss for process in [root, *root.children(recursive=True)])


def test_a_thousand_requests_at_once_are_answered_or_refused_each(server: TritonServer, png: bytes) -> None:
    limit = metric(server, LIMIT)
    wait_for(lambda: is_idle(server))
    full_before, resident_before = _found_the_queue_full(server), _resident_bytes(server)
    tensors = encode_inputs(image_tensors(png, max_tokens=12))
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
    # of other processes what is counted follows within a second; nothing may be refused twice, or missed
    wait_for(lambda: _found_the_queue_full(server) - full_before == 1000 - outcomes["answered"])
    assert _resident_bytes(server) - resident_before < MEMORY_OF_A_STORM
    with Client(server.grpc_url) as client:
        assert client.read(png).text == "Soup of the day"


def test_a_refusal_comes_while_the_engine_is_full_and_not_after(server: TritonServer, png: bytes) -> None:
    refused: list[InferenceServerException] = []
    answered: list[Any] = []
    with triton_grpc.InferenceServerClient(server.grpc_url) as client:
        with full_engine(server, png):
            for _ in range(200):
                client.async_infer(
                    Model.OCR.value,
                    encode_inputs(image_tensors(png, max_tokens=1)),
                    lambda result, error: refused.append(error) if error else answered.append(result),
                )
            wait_for(lambda: len(refused) > 50)
            assert not answered
        # before the client is closed, which would end the requests that wait
        wait_for(lambda: len(refused) + len(answered) == 200)
    assert {str(error.status()) for error in refused} == {"StatusCode.UNAVAILABLE"}


def test_a_higher_priority_goes_first(server: TritonServer, png: bytes) -> None:
    order: list[str] = []
    low, high = 70, 20
    with ThreadPoolExecutor(low + high) as pool:
        with full_engine(server, png):
            asked = [pool.submit(_ask, server, png, 3, "low", order) for _ in range(low)]
            # all but one at each instance of `preprocess` and one at the engine
            wait_for(lambda: _queued(server) >= low - 3)
            asked += [pool.submit(_ask, server, png, 1, "high", order) for _ in range(high)]
            wait_for(lambda: _queued(server) >= low + high - 3)
            assert not order
        for request in asked:
            request.result(timeout=60)
    # the engine ends in any order what it reads together, up to 64, so single places say little; without priorities
    # those of high priority would end last
    assert mean(_places(order, "high")) < mean(_places(order, "low"))


def _queued(server: TritonServer) -> float:
    """Requests in Triton's queues. Before the engine's are those that were decoded before it was full."""
    return sum(
        metric(server, "nv_inference_pending_request_count", model=model) for model in (Model.PREPROCESS, Model.ENGINE)
    )


def _places(order: list[str], name: str) -> list[int]:
    return [place for place, one in enumerate(order) if one == name]


def _ask(server: TritonServer, png: bytes, priority: int, name: str, order: list[str]) -> None:
    with triton_grpc.InferenceServerClient(server.grpc_url) as client:
        client.infer(
            Model.OCR.value, encode_inputs(image_tensors(png, max_tokens=1)), priority=priority, client_timeout=60
        )
    order.append(name)


def test_the_time_limit_counts_while_a_request_waits(server: TritonServer, png: bytes) -> None:
    with (
        full_engine(server, png),
        Client(server.grpc_url) as client,
        pytest.raises(RequestCancelled, match="timeout_ms has passed before"),
    ):
        client.read(png, timeout_ms=300)


def test_a_token_ends_a_request_that_waits_before_the_engine(server: TritonServer, png: bytes) -> None:
    token = uuid.uuid4().hex
    with full_engine(server, png), Client(server.grpc_url) as client, ThreadPoolExecutor() as pool:
        waiting: list[Future[Any]] = [pool.submit(client.read, png, cancel_token=token, max_tokens=1)]
        time.sleep(0.5)
        cancel(server, token)
    with pytest.raises(RequestCancelled, match="by its token"):
        waiting[0].result(timeout=30)


def test_a_request_of_more_images_than_the_engine_takes_waits_for_nothing(server: TritonServer, png: bytes) -> None:
    with Client(server.grpc_url) as client, pytest.raises(InvalidRequest, match="65 images"):
        client.read_batch([png] * 65)


def test_many_images_in_one_request_are_let_in_together(server: TritonServer, png: bytes) -> None:
    with Client(server.grpc_url) as client:
        assert [reading.text for reading in client.read_batch([png] * 64)] == ["Soup of the day"] * 64
