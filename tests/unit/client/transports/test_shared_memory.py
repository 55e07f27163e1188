"""`ocrvl_client._transports.shared_memory`: what a request leaves in a region, and when the next one may have it."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
from tritonclient.utils import InferenceServerException

from ocrvl.wire import Task, Tensor
from ocrvl_client import InvalidRequest, RequestTimeout, ServerUnavailable
from ocrvl_client._errors import OcrvlError
from ocrvl_client._messages import Array, Request, encode_read
from ocrvl_client._transports.errors import error_from_grpc, error_from_triton
from ocrvl_client._transports.protocol import Transport
from ocrvl_client._transports.regions import Regions
from ocrvl_client._transports.shared_memory import AsyncSharedMemoryTransport, SharedMemoryTransport
from tests.support.transports import AsyncRecordingTransport, RecordingTransport, raising, readings

SHARED_MEMORY = Path("/dev/shm")
REQUEST = encode_read([b"image"], Task.OCR, {})


def ask(transport: Transport | AsyncSharedMemoryTransport, request: Request) -> object:
    answer = transport.infer(request, 5)
    return answer if isinstance(answer, dict) else asyncio.run(answer)


def regions() -> set[str]:
    return {path.name for path in SHARED_MEMORY.glob(f"ocrvl_client_{os.getpid()}_*")}


@pytest.fixture(params=["threads", "asyncio"])
def shared(
    request: pytest.FixtureRequest,
) -> tuple[SharedMemoryTransport | AsyncSharedMemoryTransport, RecordingTransport]:
    below = RecordingTransport()
    if request.param == "threads":
        return SharedMemoryTransport(below), below
    return AsyncSharedMemoryTransport(AsyncRecordingTransport(below)), below


Shared = tuple[SharedMemoryTransport | AsyncSharedMemoryTransport, RecordingTransport]


def close(transport: SharedMemoryTransport | AsyncSharedMemoryTransport) -> None:
    closing = transport.close()
    if closing is not None:
        asyncio.run(closing)


def test_an_image_lies_in_it_as_triton_reads_it_and_nothing_is_left(shared: Shared) -> None:
    transport, below = shared
    before = regions()
    seen: list[bytes] = []

    def answer(request: Request) -> dict[Tensor, Array]:
        assert request.shared is not None
        assert request.shared.tensor is Tensor.IMAGE
        seen.append((SHARED_MEMORY / request.shared.region).read_bytes()[: request.shared.size])
        return readings(request)

    below.answer = answer
    ask(transport, REQUEST)
    assert seen == [b"\x05\x00\x00\x00image"]
    close(transport)
    assert regions() == before


def test_one_region_serves_one_request_after_the_other(shared: Shared) -> None:
    transport, below = shared
    for _ in range(3):
        ask(transport, REQUEST)
    assert len(below.registered) == 1
    close(transport)


@pytest.mark.parametrize(
    "error",
    [
        RequestTimeout("oh"),
        error_from_grpc(InferenceServerException("Socket closed", "StatusCode.UNAVAILABLE"), "here:8001", 1),
    ],
    ids=str,
)
def test_a_region_of_an_abandoned_request_is_not_used_again(shared: Shared, error: OcrvlError) -> None:
    transport, below = shared
    below.answer = raising(error)
    with pytest.raises(type(error)):
        ask(transport, REQUEST)
    below.answer = readings
    ask(transport, REQUEST)
    first, second = below.registered
    assert first != second
    close(transport)
    assert below.unregistered == [second]


@pytest.mark.parametrize(
    "refusal",
    [
        InvalidRequest("no image"),
        error_from_triton(InferenceServerException("[UNAVAILABLE] every engine is down", "StatusCode.INTERNAL")),
        error_from_triton(InferenceServerException("[CANCELLED] its time is over", "StatusCode.INTERNAL")),
        error_from_triton(InferenceServerException("Exceeds maximum queue size", "StatusCode.UNAVAILABLE")),
    ],
    ids=str,
)
def test_a_refusal_is_an_answer_so_the_next_request_has_the_region(shared: Shared, refusal: OcrvlError) -> None:
    transport, below = shared
    for _ in range(3):
        below.answer = raising(refusal)
        with pytest.raises(type(refusal)):
            ask(transport, REQUEST)
    below.answer = readings
    ask(transport, REQUEST)
    assert len(below.registered) == 1
    close(transport)


def test_the_server_lets_go_of_regions_when_the_client_closes(shared: Shared) -> None:
    transport, below = shared
    ask(transport, REQUEST)
    assert below.unregistered == []
    close(transport)
    assert below.unregistered == below.registered


def test_a_server_that_is_gone_does_not_keep_a_client_from_closing(shared: Shared) -> None:
    transport, below = shared
    ask(transport, REQUEST)
    assert set(below.registered) <= regions()
    below.is_gone = True
    close(transport)
    assert not set(below.registered) & regions()


def test_retired_regions_are_unregistered_once_the_server_cannot_be_reading_them() -> None:
    now = 0.0
    regions = Regions(clock=lambda: now)
    regions.release(abandoned := regions.lease(1), RequestTimeout("oh"))
    assert regions.pop_retired() == []
    now = 599.0
    regions.release(later := regions.lease(1), ServerUnavailable("gone"))
    now = 601.0
    assert regions.pop_retired() == [abandoned.name]
    assert regions.pop_retired() == []
    now = 1200.0
    assert regions.close() == [later.name]


def test_a_server_that_was_started_again_is_told_again(shared: Shared) -> None:
    transport, below = shared
    known: list[str] = []

    def answer(request: Request) -> dict[Tensor, Array]:
        if len(below.registered) < 2:
            raise InvalidRequest(f"Unable to find shared memory region: '{known}'")
        return readings(request)

    below.answer = answer
    ask(transport, REQUEST)
    assert len(below.registered) == 2
    assert len(set(below.registered)) == 1
    close(transport)
