"""`ocrvl_client.AsyncClient`: what `Client` does, for asyncio; and what a cancelled task ends."""

from __future__ import annotations

import asyncio
import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ocrvl.wire import Model, Tensor
from ocrvl_client import AsyncClient, Client, Document, FinishReason, InvalidRequest, Reading, RequestTimeout, Retry
from ocrvl_client._errors import ServerUnavailable
from ocrvl_client._messages import Array, Request
from tests.support.transports import AsyncRecordingTransport, RecordingTransport, readings, texts


def test_both_clients_have_the_same_surface() -> None:
    def surface(kind: type) -> dict[str, list[str]]:
        methods = inspect.getmembers(kind, inspect.isfunction)
        return {name: list(inspect.signature(method).parameters) for name, method in methods if name[0] != "_"}

    ours, theirs = surface(Client), surface(AsyncClient)
    assert ours.pop("close") == theirs.pop("aclose")
    assert ours == theirs
    assert list(inspect.signature(Client).parameters) == list(inspect.signature(AsyncClient).parameters)


def test_bytes_and_files_are_read(tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    file.write_bytes(b"file")

    async def read() -> tuple[Reading, Reading]:
        async with AsyncClient(transport=AsyncRecordingTransport()) as client:
            return await client.read(b"bytes"), await client.read(file)

    of_bytes, of_file = asyncio.run(read())
    assert of_bytes == Reading("text of bytes", FinishReason.STOP, 7, 3, "", "warning 0")
    assert of_file.text == "text of file"


def test_a_file_that_is_not_found_is_named() -> None:
    with pytest.raises(InvalidRequest, match=r"no/such\.png: No such file"):
        asyncio.run(AsyncClient(transport=AsyncRecordingTransport()).read("no/such.png"))


def test_a_cancelled_task_ends_its_request_in_the_engine() -> None:
    transport = AsyncRecordingTransport(pause=30)

    async def abandon() -> None:
        async with AsyncClient(transport=transport) as client:
            task = asyncio.create_task(client.read(b"x", cancel_token="0123456789abcdef"))
            await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(abandon())
    assert transport.transport.cancelled == ["0123456789abcdef"]


def test_a_refusal_is_retried_and_a_timeout_is_not() -> None:
    failures = [ServerUnavailable("full"), RequestTimeout("late")]

    def answer(request: Request) -> dict[Tensor, Array]:
        raise failures.pop(0)

    transport = AsyncRecordingTransport(RecordingTransport(answer))
    client = AsyncClient(transport=transport, retry=Retry(initial=0))
    with pytest.raises(RequestTimeout):
        asyncio.run(client.read(b"x"))
    assert len({request.id for request in transport.transport.sent}) == 2
    assert transport.transport.cancelled == [transport.transport.sent[0].token]


def test_many_are_read_in_order_with_a_bound_on_those_in_flight() -> None:
    def answer(request: Request) -> dict[Tensor, Array]:
        if request.inputs[Tensor.IMAGE].item() == b"7":
            raise InvalidRequest("bad")
        return readings(request)

    transport = AsyncRecordingTransport(RecordingTransport(answer), pause=0.001)

    async def read() -> list[str]:
        async with AsyncClient(transport=transport, concurrency=4) as client:
            images = [b"%d" % number for number in range(30)]
            return [one.reading.text if one.reading else str(one.error) async for one in client.read_many(images)]

    expected = [f"text of {number}" for number in range(30)]
    expected[7] = "bad"
    assert asyncio.run(read()) == expected
    assert transport.transport.most_in_flight <= 4


def test_no_time_and_none_in_flight_are_refused() -> None:
    async def read_many(**wrong: Any) -> None:
        async for _ in AsyncClient(transport=AsyncRecordingTransport()).read_many([b"0"], **wrong):
            pass

    with pytest.raises(InvalidRequest, match="seconds above 0"):
        asyncio.run(AsyncClient(transport=AsyncRecordingTransport()).read(b"x", timeout=0))
    with pytest.raises(InvalidRequest, match="seconds above 0"):
        asyncio.run(read_many(timeout=0))
    with pytest.raises(InvalidRequest, match="at least 1"):
        asyncio.run(read_many(concurrency=0))


def test_many_under_one_token_are_ended_by_it_once() -> None:
    transport = AsyncRecordingTransport(pause=30)

    async def abandon() -> None:
        async with AsyncClient(transport=transport) as client:
            outcomes = client.read_many([b"1", b"2", b"3"], cancel_token="0123456789abcdef")
            task = asyncio.ensure_future(anext(outcomes))
            await asyncio.sleep(0.01)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await outcomes.aclose()

    asyncio.run(abandon())
    assert transport.transport.cancelled == ["0123456789abcdef"]


def test_many_that_are_abandoned_are_cancelled() -> None:
    transport = AsyncRecordingTransport(pause=30)

    async def abandon() -> None:
        async with AsyncClient(transport=transport) as client:

            async def read() -> None:
                async for _ in client.read_many([b"1", b"2"]):
                    pass

            task = asyncio.create_task(read())
            await asyncio.sleep(0.01)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    asyncio.run(abandon())
    assert transport.transport.in_flight == 0
    assert len(set(transport.transport.cancelled)) == 2


def test_streams_have_pieces_pages_and_a_last_part() -> None:
    def answers(request: Request) -> list[dict[Tensor, Array]]:
        if request.model is Model.DOCUMENT_STREAM:
            return [{Tensor.DOCUMENT_MARKDOWN: texts("# Tea"), Tensor.DOCX: texts("")}]
        last = readings(request) | {Tensor.FULL_TEXT: texts("Tea"), Tensor.TEXT: texts("")}
        return [{Tensor.TEXT: texts("Tea"), Tensor.INDEX: np.array([0], np.int32)}, last]

    async def read() -> list[object]:
        async with AsyncClient(transport=AsyncRecordingTransport(RecordingTransport(answers=answers))) as client:
            pieces: list[object] = [piece async for piece in client.stream(b"x")]
            return pieces + [part async for part in client.document_stream(b"x")]

    piece, reading, document = asyncio.run(read())
    assert piece == "Tea"
    assert isinstance(reading, Reading)
    assert reading.text == "Tea"
    assert document == Document("# Tea")
