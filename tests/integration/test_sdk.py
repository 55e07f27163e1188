"""`ocrvl_client` on the real server: the same over every transport; abandoned requests are cancelled in the engine."""

from __future__ import annotations

import asyncio
import io
import os
from collections.abc import Sequence
from pathlib import Path

import pytest
import tritonclient.grpc as triton_grpc
from PIL import Image

from ocrvl.launcher.server import TritonServer
from ocrvl.local_keys import GRPC_PREFIX, KEY_HEADER, read_key
from ocrvl_client import (
    AsyncClient,
    Client,
    Document,
    InvalidRequest,
    Outcome,
    Page,
    ProtocolName,
    Reading,
    RequestTimeout,
    ServerUnavailable,
)
from perf.harness.documents import Typesetter, write_pdf
from tests.support.streams import LONG, metric, wait_for

TEXT = "Soup of the day"
IN_FLIGHT = "ocrvl_engine_images_in_flight"

TransportKind = tuple[ProtocolName, type[Client] | type[AsyncClient]]
KINDS: list[TransportKind] = [("grpc", Client), ("http", Client), ("grpc", AsyncClient), ("http", AsyncClient)]
PARTS = list[str | Reading | Page | Document]

every_transport = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: f"{kind[0]}-{kind[1].__name__}")


def url(server: TritonServer, protocol: ProtocolName) -> str:
    return server.grpc_url if protocol == "grpc" else server.http_url


def read(server: TritonServer, kind: TransportKind, image: bytes, *, shared_memory: bool = False) -> Reading:
    protocol, client_class = kind
    if client_class is Client:
        with Client(url(server, protocol), protocol=protocol, shared_memory=shared_memory) as client:
            return client.read(image)

    async def read_async() -> Reading:
        async with AsyncClient(url(server, protocol), protocol=protocol, shared_memory=shared_memory) as client:
            return await client.read(image)

    return asyncio.run(read_async())


def stream(server: TritonServer, kind: TransportKind, source: bytes, *, document: bool) -> PARTS:
    protocol, client_class = kind
    if client_class is Client:
        with Client(url(server, protocol), protocol=protocol) as client:
            return list(client.document_stream(source) if document else client.stream(source))

    async def stream_async() -> PARTS:
        async with AsyncClient(url(server, protocol), protocol=protocol) as client:
            return [part async for part in (client.document_stream(source) if document else client.stream(source))]

    return asyncio.run(stream_async())


@every_transport
@pytest.mark.parametrize("shared_memory", [False, True], ids=["sent", "shared memory"])
def test_an_image_is_read_over_every_transport(
    server: TritonServer, png: bytes, kind: TransportKind, shared_memory: bool
) -> None:
    reading = read(server, kind, png, shared_memory=shared_memory)
    assert reading.text == TEXT
    assert 0 < reading.seconds < 60
    assert not list(Path("/dev/shm").glob(f"ocrvl_client_{os.getpid()}_*"))
    assert regions_at(server) == set()


def regions_at(server: TritonServer) -> set[str]:
    """The shared memory of clients that the server has opened."""
    headers = {GRPC_PREFIX + KEY_HEADER: read_key(server.grpc_port) or ""}
    with triton_grpc.InferenceServerClient(server.grpc_url) as client:
        regions = client.get_system_shared_memory_status(headers=headers).regions
        return {name for name in regions if name.startswith("ocrvl_client_")}


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_refusals_leave_no_shared_memory_behind(server: TritonServer, png: bytes, protocol: ProtocolName) -> None:
    with Client(url(server, protocol), protocol=protocol, shared_memory=True) as client:
        for _ in range(3):
            with pytest.raises(InvalidRequest):
                client.read(b"no image")
        assert client.read(png).text == TEXT
        assert len(regions_at(server)) == 1
    assert regions_at(server) == set()


@every_transport
def test_pieces_of_a_stream_are_the_text(server: TritonServer, png: bytes, kind: TransportKind) -> None:
    *pieces, reading = stream(server, kind, png, document=False)
    assert isinstance(reading, Reading)
    assert "".join(str(piece) for piece in pieces) == reading.text == TEXT
    assert len(pieces) > 3


@pytest.fixture(scope="module")
def pdf() -> bytes:
    typesetter = Typesetter(3)
    return write_pdf([typesetter.page(1, columns=2), typesetter.page(2, figure=True)])


@pytest.fixture(scope="module")
def parts(server: TritonServer, pdf: bytes) -> PARTS:
    return stream(server, ("grpc", Client), pdf, document=True)


@every_transport
def test_a_document_comes_page_by_page_over_every_transport(
    server: TritonServer, pdf: bytes, parts: Sequence[object], kind: TransportKind
) -> None:
    first, second, whole = stream(server, kind, pdf, document=True)
    assert [first, second, whole] == parts
    assert isinstance(first, Page)
    assert isinstance(second, Page)
    assert {block.label for block in first.blocks} >= {"text"}
    (image,) = second.images.values()
    assert Image.open(io.BytesIO(image)).format == "JPEG"


@every_transport
def test_a_bad_file_is_refused_with_the_reason_over_every_transport(server: TritonServer, kind: TransportKind) -> None:
    with pytest.raises(InvalidRequest, match="image 0: it is not an image"):
        read(server, kind, b"hello")
    with pytest.raises(InvalidRequest, match="image 0: it is not an image"):
        stream(server, kind, b"hello", document=False)


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_a_cancelled_task_ends_its_request_in_the_engine(
    server: TritonServer, png: bytes, protocol: ProtocolName
) -> None:
    async def abandon() -> None:
        async with AsyncClient(url(server, protocol), protocol=protocol) as client:
            task = asyncio.create_task(client.read(png, **LONG))
            await asyncio.to_thread(wait_for, lambda: metric(server, IN_FLIGHT) == 1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await asyncio.to_thread(wait_for, lambda: metric(server, IN_FLIGHT) == 0)

    wait_for(lambda: metric(server, IN_FLIGHT) == 0)
    asyncio.run(abandon())


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_a_timeout_of_the_client_ends_its_request_in_the_engine(
    server: TritonServer, png: bytes, protocol: ProtocolName
) -> None:
    wait_for(lambda: metric(server, IN_FLIGHT) == 0)
    with Client(url(server, protocol), protocol=protocol) as client:
        with pytest.raises(RequestTimeout, match="no answer"):
            client.read(png, timeout=1.5, **LONG)
        wait_for(lambda: metric(server, IN_FLIGHT) == 0)


@every_transport
def test_many_are_read_and_one_bad_file_among_them_fails_alone(
    server: TritonServer, png: bytes, kind: TransportKind
) -> None:
    protocol, client_class = kind
    images = [png] * 20
    images[11] = b"hello"
    if client_class is Client:
        with Client(url(server, protocol), protocol=protocol, concurrency=8) as client:
            outcomes = list(client.read_many(images))
    else:

        async def read_many() -> list[Outcome]:
            async with AsyncClient(url(server, protocol), protocol=protocol, concurrency=8) as client:
                return [outcome async for outcome in client.read_many(images)]

        outcomes = asyncio.run(read_many())
    texts = [outcome.reading.text if outcome.reading else str(outcome.error) for outcome in outcomes]
    assert texts[11].startswith("image 0: it is not an image")
    assert set(texts[:11] + texts[12:]) == {TEXT}


def test_many_that_are_abandoned_are_cancelled_in_the_engine(server: TritonServer, png: bytes) -> None:
    with Client(server.grpc_url) as client:
        outcomes = client.read_many([png] * 30, concurrency=8, ordered=False)
        next(outcomes)
        outcomes.close()
        wait_for(lambda: metric(server, IN_FLIGHT) == 0)


def test_of_two_servers_one_that_is_gone_is_passed_over(server: TritonServer, png: bytes) -> None:
    with Client(["127.0.0.1:9", server.grpc_url]) as client:
        assert {outcome.result().text for outcome in client.read_many([png] * 6, concurrency=2)} == {TEXT}
        assert client.is_ready()
        assert client.metadata().name == "triton"
    with Client(["127.0.0.1:9", "127.0.0.1:10"], retry=None) as client, pytest.raises(ServerUnavailable):
        client.read(png)


@every_transport
def test_a_server_says_what_it_is(server: TritonServer, kind: TransportKind) -> None:
    protocol, client_class = kind
    if client_class is Client:
        with Client(url(server, protocol), protocol=protocol) as client:
            assert (client.is_live(), client.is_ready(), client.metadata().name) == (True, True, "triton")
        return

    async def ask() -> tuple[bool, bool, str]:
        async with AsyncClient(url(server, protocol), protocol=protocol) as client:
            return await client.is_live(), await client.is_ready(), (await client.metadata()).name

    assert asyncio.run(ask()) == (True, True, "triton")
