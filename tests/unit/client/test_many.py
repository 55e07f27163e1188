"""`ocrvl_client.Client.read_many`: order, images in flight, and what a closed iterator cancels."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from ocrvl.wire import Tensor
from ocrvl_client import (
    Client,
    InvalidRequest,
    RequestCancelled,
    RequestTimeout,
    ServerError,
)
from ocrvl_client._messages import Array, Request
from tests.support.transports import RecordingTransport, failing, readings


def test_outcomes_come_in_order_and_one_that_fails_stops_no_other() -> None:
    def answer(request: Request) -> dict[Tensor, Array]:
        number = int(request.inputs[Tensor.IMAGE].item())
        time.sleep(0.02 if number % 5 == 0 else 0)
        if number == 7:
            raise InvalidRequest("image 0: bad")
        return readings(request)

    with Client(transport=RecordingTransport(answer), concurrency=4) as client:
        outcomes = list(client.read_many([b"%d" % number for number in range(30)]))
    assert [outcome.index for outcome in outcomes] == list(range(30))
    assert [outcome.source for outcome in outcomes] == [b"%d" % number for number in range(30)]
    assert outcomes[8].result().text == "text of 8"
    with pytest.raises(InvalidRequest, match="bad"):
        outcomes[7].result()


def test_no_more_are_in_flight_or_taken_from_the_source_than_was_said() -> None:
    taken = 0

    def source() -> Iterator[bytes]:
        nonlocal taken
        for number in range(100):
            taken += 1
            yield b"%d" % number

    def answer(request: Request) -> dict[Tensor, Array]:
        time.sleep(0.001)
        return readings(request)

    transport = RecordingTransport(answer)
    outcomes = Client(transport=transport).read_many(source(), concurrency=3)
    next(outcomes)
    assert taken <= 3 * 5 + 1
    assert len(list(outcomes)) == 99
    assert transport.most_in_flight <= 3


def test_as_they_come_means_the_quick_before_the_slow() -> None:
    slow = threading.Event()

    def answer(request: Request) -> dict[Tensor, Array]:
        if request.inputs[Tensor.IMAGE].item() == b"0":
            slow.wait(10)
        return readings(request)

    outcomes = Client(transport=RecordingTransport(answer)).read_many([b"0", b"1"], concurrency=2, ordered=False)
    assert next(outcomes).index == 1
    slow.set()
    assert [outcome.index for outcome in outcomes] == [0]


def test_closing_ends_what_is_in_flight_by_its_token() -> None:
    ended = threading.Event()
    transport = RecordingTransport()

    def answer(request: Request) -> dict[Tensor, Array]:
        if request.inputs[Tensor.IMAGE].item() == b"0":
            return readings(request)
        while not transport.cancelled:
            time.sleep(0.005)
        ended.set()
        raise RequestCancelled("ended")

    transport.answer = answer
    outcomes = Client(transport=transport).read_many([b"0", b"1", b"2"], concurrency=2)
    next(outcomes)
    while len(transport.sent) < 2:
        time.sleep(0.005)
    outcomes.close()
    assert ended.is_set()
    pending = [request for request in transport.sent if request.inputs[Tensor.IMAGE].item() != b"0"]
    assert transport.cancelled == [request.token for request in pending]


def test_one_that_takes_too_long_is_ended_and_the_others_are_not() -> None:
    def answer(request: Request) -> dict[Tensor, Array]:
        if request.inputs[Tensor.IMAGE].item() == b"1":
            raise RequestTimeout("late")
        return readings(request)

    transport = RecordingTransport(answer)
    outcomes = list(Client(transport=transport, retry=None).read_many([b"0", b"1", b"2"]))
    assert [outcome.error is None for outcome in outcomes] == [True, False, True]
    tokens = {request.inputs[Tensor.IMAGE].item(): request.token for request in transport.sent}
    assert len(set(tokens.values())) == 3
    assert transport.cancelled == [tokens[b"1"]]


def test_a_token_of_the_caller_s_ends_none_of_the_others_and_all_of_them_once() -> None:
    transport = RecordingTransport()

    def answer(request: Request) -> dict[Tensor, Array]:
        image = request.inputs[Tensor.IMAGE].item()
        if image == b"0":
            raise RequestTimeout("late")
        while image != b"1" and not transport.cancelled:
            time.sleep(0.005)
        return readings(request)

    transport.answer = answer
    outcomes = Client(transport=transport).read_many([b"0", b"1", b"2", b"3"], cancel_token="0123456789abcdef")
    assert isinstance(next(outcomes).error, RequestTimeout)
    assert next(outcomes).error is None
    assert transport.cancelled == []
    outcomes.close()
    assert transport.cancelled == ["0123456789abcdef"]


@pytest.mark.parametrize(("wrong", "reason"), [({"timeout": 0}, "seconds above 0"), ({"concurrency": 0}, "at least 1")])
def test_no_time_and_none_in_flight_are_refused(wrong: dict[str, Any], reason: str) -> None:
    with pytest.raises(InvalidRequest, match=reason):
        next(Client(transport=RecordingTransport()).read_many([b"0"], **wrong))


def test_a_fault_of_the_client_is_an_outcome_too() -> None:
    (outcome,) = Client(transport=RecordingTransport(failing(ZeroDivisionError("oh")))).read_many([b"x"])
    with pytest.raises(ServerError, match="ZeroDivisionError: oh"):
        outcome.result()
