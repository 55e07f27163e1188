"""`ocrvl_client._transports`: every way in which a connection breaks or a server refuses, in our own terms."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

import grpc
import pytest
from tritonclient.grpc import service_pb2

from ocrvl_client import (
    AsyncClient,
    Client,
    InvalidRequest,
    OcrvlError,
    ProtocolName,
    RequestTimeout,
    ServerError,
    ServerUnavailable,
)

TransportKind = tuple[ProtocolName, type[Client] | type[AsyncClient]]
GRPC: list[TransportKind] = [("grpc", Client), ("grpc", AsyncClient)]
HTTP: list[TransportKind] = [("http", Client), ("http", AsyncClient)]
EVERY_TRANSPORT = pytest.mark.parametrize("kind", [*GRPC, *HTTP], ids=lambda kind: f"{kind[0]}-{kind[1].__name__}")


def read(url: str, kind: TransportKind, timeout: float = 20) -> None:
    protocol, client_class = kind
    if client_class is Client:
        with Client(url, protocol=protocol, timeout=timeout, retry=None) as client:
            client.read(b"image")
        return

    async def read_async() -> None:
        async with AsyncClient(url, protocol=protocol, timeout=timeout, retry=None) as client:
            await client.read(b"image")

    asyncio.run(read_async())


@contextmanager
def listening(talk: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server that takes the beginning of each request, does what `talk` does, and closes the connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(1024)
                    talk(connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def hang_up(connection: socket.socket) -> None:
    connection.shutdown(socket.SHUT_RDWR)


def answer_half(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{")


def answer_nonsense(connection: socket.socket) -> None:
    connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")


@EVERY_TRANSPORT
def test_a_server_that_is_not_found_is_unavailable(kind: TransportKind) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(ServerUnavailable, match=f"no server at {url}"):
        read(url, kind)


@EVERY_TRANSPORT
@pytest.mark.parametrize("talk", [reset, hang_up])
def test_a_connection_that_breaks_under_a_request_is_unavailable(
    kind: TransportKind, talk: Callable[[socket.socket], None]
) -> None:
    with listening(talk) as url, pytest.raises(ServerUnavailable) as raised:
        read(url, kind)
    assert not isinstance(raised.value, RequestTimeout)


@pytest.mark.parametrize("kind", HTTP)
@pytest.mark.parametrize("talk", [answer_half, answer_nonsense])
def test_an_answer_over_http_that_is_cut_short_is_unavailable(
    kind: TransportKind, talk: Callable[[socket.socket], None]
) -> None:
    with listening(talk) as url, pytest.raises(ServerUnavailable, match="broke before the answer"):
        read(url, kind)


@pytest.fixture
def _short_cancel(monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers that answer nothing do not answer a cancel either, which is waited for."""
    for module in ("_sender", "_transports.grpc_aio"):
        monkeypatch.setattr(f"ocrvl_client.{module}.CANCEL_SECONDS", 0.1)


@EVERY_TRANSPORT
@pytest.mark.usefixtures("_short_cancel")
def test_a_server_that_never_answers_is_a_timeout(kind: TransportKind) -> None:
    silence = threading.Event()

    def say_nothing(connection: socket.socket) -> None:
        silence.wait(20)

    with listening(say_nothing) as url:
        with pytest.raises(RequestTimeout, match=r"no answer from 127\.0\.0\.1:\d+ within 0\.(3|2\d+) s"):
            read(url, kind, timeout=0.3)
        silence.set()


@pytest.mark.parametrize("kind", HTTP)
@pytest.mark.usefixtures("_short_cancel")
def test_an_answer_over_http_that_trickles_in_is_a_timeout_too(kind: TransportKind) -> None:
    enough = threading.Event()

    def trickle(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        for _ in range(100):
            if enough.wait(0.05):
                return
            with suppress(OSError):
                connection.sendall(b" ")

    with listening(trickle) as url:
        with pytest.raises(RequestTimeout):
            read(url, kind, timeout=0.5)
        enough.set()


Infer = Callable[[bytes, grpc.ServicerContext], bytes]


@contextmanager
def serving(infer: Infer, port: int = 0) -> Iterator[tuple[grpc.Server, int]]:
    """A server that says it is ready, and does with requests what `infer` does; and its port."""
    ready = service_pb2.ServerReadyResponse(ready=True).SerializeToString()
    methods = {
        "ServerReady": grpc.unary_unary_rpc_method_handler(lambda request, context: ready),
        "ModelInfer": grpc.unary_unary_rpc_method_handler(infer),
    }
    handler = grpc.method_handlers_generic_handler("inference.GRPCInferenceService", methods)
    server = grpc.server(ThreadPoolExecutor(4), handlers=[handler])
    chosen = server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    try:
        yield server, chosen
    finally:
        server.stop(None).wait()


def refuse_with(status: str, message: str) -> Infer:
    def refuse(request: bytes, context: grpc.ServicerContext) -> bytes:
        context.abort(grpc.StatusCode[status], message)
        raise AssertionError("abort raises")

    return refuse


REFUSALS: list[tuple[str, str, type[OcrvlError]]] = [
    ("INTERNAL", "in ensemble 'ocr', Stub process 'paddleocr_vl_0_0' is not healthy.", ServerUnavailable),
    ("INTERNAL", "in ensemble 'ocr', [request id: 7] Exceeds maximum queue size", ServerUnavailable),
    ("INTERNAL", "Received RST_STREAM with error code 2", ServerUnavailable),
    ("UNKNOWN", "Stream removed", ServerUnavailable),
    ("UNAVAILABLE", "Server is stopping, scheduler for model has stopped accepting new requests", ServerUnavailable),
    ("INTERNAL", "in ensemble 'ocr', [UNAVAILABLE] the engine is restarting", ServerUnavailable),
    ("INTERNAL", "in ensemble 'ocr', [INVALID_ARG] image 0 says that it is not ready", InvalidRequest),
    ("INTERNAL", "[INTERNAL] unexpected KeyError: GOAWAY", ServerError),
    ("INTERNAL", "something else", ServerError),
]


@pytest.mark.parametrize("kind", GRPC)
@pytest.mark.parametrize(("status", "message", "expected"), REFUSALS)
def test_refusals_over_grpc_are_told_apart(
    kind: TransportKind, status: str, message: str, expected: type[OcrvlError]
) -> None:
    with serving(refuse_with(status, message)) as (_, port), pytest.raises(OcrvlError) as raised:
        read(f"127.0.0.1:{port}", kind)
    assert type(raised.value) is expected


@pytest.mark.parametrize("kind", HTTP)
@pytest.mark.parametrize(("status", "message", "expected"), REFUSALS[:2])
def test_refusals_over_http_are_told_apart(
    kind: TransportKind, status: str, message: str, expected: type[OcrvlError]
) -> None:
    body = json.dumps({"error": message}).encode()

    def refuse(connection: socket.socket) -> None:
        # Triton 2.51 answers so when a model's process was killed
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

    with listening(refuse) as url, pytest.raises(expected, match=re.escape(message)):
        read(url, kind)


@pytest.mark.parametrize("kind", GRPC)
def test_a_server_that_ends_under_a_request_is_unavailable(kind: TransportKind) -> None:
    arrived, ended = threading.Event(), threading.Event()

    def end(request: bytes, context: grpc.ServicerContext) -> bytes:
        arrived.set()
        ended.wait(20)
        return b""

    with serving(end) as (server, port):

        def stop() -> None:
            arrived.wait(20)
            server.stop(None).wait()
            ended.set()

        stopping = threading.Thread(target=stop)
        stopping.start()
        with pytest.raises(ServerUnavailable, match="broke before the answer"):
            read(f"127.0.0.1:{port}", kind)
        stopping.join()


def test_a_server_that_was_started_again_is_found_by_the_same_client() -> None:
    never = refuse_with("INTERNAL", "not asked for")
    with serving(never) as (_, port):
        client = Client(f"127.0.0.1:{port}", timeout=5)
        assert client.is_ready()
    assert not client.is_ready()
    pause = threading.Event()
    with serving(never, port), client:
        while not client.is_ready():
            pause.wait(0.1)
