"""What stands in front of transports: several servers, shared memory; and HTTP's streams of events."""

from __future__ import annotations

import asyncio
import base64
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tritonclient.utils import InferenceServerException

from ocrvl.wire import Model, Task, Tensor
from ocrvl_client import InvalidRequest, RequestTimeout, ServerUnavailable, Tls
from ocrvl_client._errors import OcrvlError
from ocrvl_client._messages import Array, Request, encode_cancel, encode_read, encode_stream
from ocrvl_client._transports.balance import AsyncBalancedTransport, BalancedTransport, LoadBalancer
from ocrvl_client._transports.errors import error_from_grpc, error_from_triton
from ocrvl_client._transports.generate import decode_event, decode_refusal, encode_body
from ocrvl_client._transports.protocol import Transport
from ocrvl_client._transports.regions import Regions
from ocrvl_client._transports.shared_memory import AsyncSharedMemoryTransport, SharedMemoryTransport
from tests.support.transports import AsyncRecordingTransport, RecordingTransport, readings

SHARED_MEMORY = Path("/dev/shm")
REQUEST = encode_read([b"image"], Task.OCR, {})


def ask(transport: Transport | AsyncBalancedTransport | AsyncSharedMemoryTransport, request: Request) -> object:
    answer = transport.infer(request, 5)
    return answer if isinstance(answer, dict) else asyncio.run(answer)


def over(first: RecordingTransport, second: RecordingTransport) -> list[BalancedTransport | AsyncBalancedTransport]:
    return [
        BalancedTransport([first, second]),
        AsyncBalancedTransport([AsyncRecordingTransport(first), AsyncRecordingTransport(second)]),
    ]


def raising(error: OcrvlError) -> Callable[[Request], dict[Tensor, Array]]:
    def answer(request: Request) -> dict[Tensor, Array]:
        raise error

    return answer


class TestSeveralServers:
    def test_the_one_with_the_fewest_in_flight_is_next(self) -> None:
        balance = LoadBalancer(3)
        with balance.acquire() as first, balance.acquire() as second:
            with balance.acquire() as third:
                assert [first, second, third] == [0, 1, 2]
            with balance.acquire() as again:
                assert again == 2

    def test_one_that_failed_is_passed_over_for_a_while(self) -> None:
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
    def test_a_cancel_goes_to_all_and_is_summed(self, kind: int) -> None:
        first, second = RecordingTransport(), RecordingTransport()
        answer = ask(over(first, second)[kind], encode_cancel("token"))
        assert isinstance(answer, dict)
        assert answer[Tensor.CANCELLED].tolist() == [2]
        assert first.cancelled == second.cancelled == ["token"]

    @pytest.mark.parametrize("kind", [0, 1], ids=["threads", "asyncio"])
    def test_the_next_request_finds_the_server_that_works(self, kind: int) -> None:
        first, second = RecordingTransport(raising(ServerUnavailable("gone"))), RecordingTransport()
        transport = over(first, second)[kind]
        with pytest.raises(ServerUnavailable):
            ask(transport, REQUEST)
        ask(transport, REQUEST)
        ask(transport, REQUEST)
        assert (len(first.sent), len(second.sent)) == (1, 2)


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


class TestSharedMemory:
    def test_an_image_lies_in_it_as_triton_reads_it_and_nothing_is_left(self, shared: Shared) -> None:
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

    def test_one_region_serves_one_request_after_the_other(self, shared: Shared) -> None:
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
    def test_a_region_of_a_request_that_was_given_up_is_not_used_again(self, shared: Shared, error: OcrvlError) -> None:
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
    def test_a_refusal_is_an_answer_so_the_next_request_has_the_region(
        self, shared: Shared, refusal: OcrvlError
    ) -> None:
        transport, below = shared
        for _ in range(3):
            below.answer = raising(refusal)
            with pytest.raises(type(refusal)):
                ask(transport, REQUEST)
        below.answer = readings
        ask(transport, REQUEST)
        assert len(below.registered) == 1
        close(transport)

    def test_the_server_lets_go_of_regions_when_the_client_closes(self, shared: Shared) -> None:
        transport, below = shared
        ask(transport, REQUEST)
        assert below.unregistered == []
        close(transport)
        assert below.unregistered == below.registered

    def test_a_server_that_is_gone_does_not_keep_a_client_from_closing(self, shared: Shared) -> None:
        transport, below = shared
        ask(transport, REQUEST)
        assert set(below.registered) <= regions()
        below.is_gone = True
        close(transport)
        assert not set(below.registered) & regions()

    def test_dropped_regions_are_let_go_of_once_the_server_can_not_be_reading_them(self) -> None:
        now = 0.0
        regions = Regions(clock=lambda: now)
        regions.release(given_up := regions.lease(1), RequestTimeout("oh"))
        assert regions.pop_retired() == []
        now = 599.0
        regions.release(later := regions.lease(1), ServerUnavailable("gone"))
        now = 601.0
        assert regions.pop_retired() == [given_up.name]
        assert regions.pop_retired() == []
        now = 1200.0
        assert regions.close() == [later.name]

    def test_a_server_that_was_started_again_is_told_again(self, shared: Shared) -> None:
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


class TestEvents:
    def test_files_go_as_base64_and_the_rest_as_text(self) -> None:
        request = encode_stream(b"\xff\xd8 image", Task.TABLE, {"raw": True})
        body = json.loads(encode_body(request))
        assert base64.b64decode(body["image"]) == b"\xff\xd8 image"
        assert body["task"] == "table"
        assert json.loads(body["options"])["raw"] is True
        assert request.model is Model.STREAM

    def test_an_event_is_tensors(self) -> None:
        found = decode_event(b'data: {"model_name":"ocr_stream","model_version":"1","index":0,"text":"\xc2\xa3 5"}\n')
        assert found is not None
        assert found[Tensor.TEXT].tolist() == ["£ 5".encode()]
        np.testing.assert_array_equal(found[Tensor.INDEX], np.array([0], np.int32))
        assert decode_event(b"\r\n") is None

    def test_an_event_with_an_error_raises_it(self) -> None:
        with pytest.raises(InvalidRequest, match="bad"):
            decode_event(b'data: {"error":"[INVALID_ARG] image 0: bad"}')

    @pytest.mark.parametrize(
        ("status", "body", "expected"),
        [
            (400, b'{"error":"[UNAVAILABLE] full"}', ServerUnavailable),
            (503, b"", ServerUnavailable),
            (404, b"<html>nginx</html>", InvalidRequest),
        ],
    )
    def test_an_answer_that_is_no_stream_is_an_error(
        self, status: int, body: bytes, expected: type[OcrvlError]
    ) -> None:
        assert type(decode_refusal(status, body)) is expected


class TestTls:
    def test_files_that_are_not_there_are_named(self, tmp_path: Path) -> None:
        with pytest.raises(InvalidRequest, match=r"tls: ca: file /no/ca\.pem not found"):
            Tls(ca="/no/ca.pem")
        with pytest.raises(InvalidRequest, match="certificate and key belong together"):
            Tls(certificate=tmp_path)

    def test_a_file_that_is_no_certificate_is_told(self, tmp_path: Path) -> None:
        file = tmp_path / "ca.pem"
        file.write_text("hello")
        with pytest.raises(InvalidRequest, match="tls: "):
            Tls(ca=file).context()
