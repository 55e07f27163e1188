"""The closed loop, and tensors of requests."""

from __future__ import annotations

import asyncio
import json

import numpy as np
import pytest

from ocrvl.wire import Tensor
from perf.harness.loops import closed_loop
from perf.harness.tensors import bytes_tensor, encode_inputs, image_tensors


class Requests:
    """Counts what is in flight; each request takes a turn of the loop more than the one before it."""

    def __init__(self) -> None:
        self.now = self.most = 0

    async def send(self, number: int) -> int:
        self.now += 1
        self.most = max(self.most, self.now)
        for _ in range(number % 5):
            await asyncio.sleep(0)
        self.now -= 1
        return number


def test_as_many_are_in_flight_as_were_asked_for_and_results_are_in_the_order_of_sending() -> None:
    requests = Requests()
    results = asyncio.run(closed_loop(requests.send, 4, requests=30))
    assert [one.result for one in results] == list(range(30))
    assert requests.most == 4
    assert all(one.seconds >= 0 for one in results)


def test_a_loop_of_seconds_ends_with_what_is_in_flight() -> None:
    async def send(number: int) -> int:
        await asyncio.sleep(0.02)
        return number

    results = asyncio.run(closed_loop(send, 3, seconds=0.01))
    assert [one.result for one in results] == [0, 1, 2]


def test_the_first_error_ends_the_loop_and_is_raised_as_it_is() -> None:
    sent = []

    async def send(number: int) -> None:
        sent.append(number)
        await asyncio.sleep(0)
        if number == 2:
            raise RuntimeError("refused")

    with pytest.raises(RuntimeError, match="refused"):
        asyncio.run(closed_loop(send, 2, requests=1000))
    assert len(sent) < 10


def test_a_request_has_no_options_and_no_task_unless_given() -> None:
    assert list(image_tensors(b"x")) == [Tensor.IMAGE]
    tensors = image_tensors(b"x", b"y", task="table", raw=True)
    assert tensors[Tensor.IMAGE].tolist() == [b"x", b"y"]
    assert json.loads(tensors[Tensor.OPTIONS][0]) == {"raw": True}
    assert tensors[Tensor.TASK].tolist() == [b"table"]


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_inputs_have_names_shapes_and_types(protocol: str) -> None:
    inputs = encode_inputs({Tensor.IMAGE: bytes_tensor(b"x", b"y"), "n": np.zeros((1, 3), np.int32)}, protocol)
    assert [(one.name(), one.shape(), one.datatype()) for one in inputs] == [
        ("image", [2], "BYTES"),
        ("n", [1, 3], "INT32"),
    ]
