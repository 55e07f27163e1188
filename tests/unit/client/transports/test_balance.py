"""`ocrvl_client._transports.balance`: which of several servers has the next request."""

from __future__ import annotations

import asyncio

import pytest

from ocrvl.wire import Task, Tensor
from ocrvl_client import ServerUnavailable
from ocrvl_client._messages import Request, encode_cancel, encode_read
from ocrvl_client._transports.balance import AsyncBalancedTransport, BalancedTransport, LoadBalancer
from ocrvl_client._transports.protocol import Transport
from tests.support.transports import AsyncRecordingTransport, RecordingTransport, raising

REQUEST = encode_read([b"image"], Task.OCR, {})


def ask(transport: Transport | AsyncBalancedTransport, request: Request) -> object:
    answer = transport.infer(request, 5)
    return answer if isinstance(answer, dict) else asyncio.run(answer)


def over(first: RecordingTransport, second: RecordingTransport) -> list[BalancedTransport | AsyncBalancedTransport]:
    return [
        BalancedTransport([first, second]),
        AsyncBalancedTransport([AsyncRecordingTransport(first), AsyncRecordingTransport(second)]),
    ]


def test_the_one_with_the_fewest_in_flight_is_next() -> None:
    balance = LoadBalancer(3)
    with balance.acquire() as first, balance.acquire() as second:
        with balance.acquire() as third:
            assert [first, second, third] == [0, 1, 2]
        with balance.acquire() as again:
            assert again == 2


def test_one_that_failed_is_passed_over_for_a_while() -> None:
    now = 0.0
    balance = LoadBalancer(2, clock=lambda: now)
    with pytest.raises(ServerUnavailable), balance.acquire() as failed:
        raise ServerUnavailable("gone")
    with balance.acquire() as first, balance.acquire() as second:
        assert (failed, first, second) == (0, 1, 1)
    now = 3.0
    with balance.acquire() as later:
        assert later == 0


@pytest.mark.parametrize("kind", [0, 1], ids=["threads", "asyncio"])
def test_a_cancel_goes_to_all_and_is_summed(kind: int) -> None:
    first, second = RecordingTransport(), RecordingTransport()
    answer = ask(over(first, second)[kind], encode_cancel("token"))
    assert isinstance(answer, dict)
    assert answer[Tensor.CANCELLED].tolist() == [2]
    assert first.cancelled == second.cancelled == ["token"]


@pytest.mark.parametrize("kind", [0, 1], ids=["threads", "asyncio"])
def test_the_next_request_finds_the_server_that_works(kind: int) -> None:
    first, second = RecordingTransport(raising(ServerUnavailable("gone"))), RecordingTransport()
    transport = over(first, second)[kind]
    with pytest.raises(ServerUnavailable):
        ask(transport, REQUEST)
    ask(transport, REQUEST)
    ask(transport, REQUEST)
    assert (len(first.sent), len(second.sent)) == (1, 2)
