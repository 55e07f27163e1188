"""Why `ocrvl read` finds no server: each cause has a sentence of its own."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

import grpc
import pytest
import trustme

from ocrvl_cli.reading.connection import explain

HTTP = b"HTTP/1.1 %s\r\nContent-Length: 0\r\n\r\n"


@contextmanager
def listening(answer: bytes, context: ssl.SSLContext | None = None) -> Iterator[str]:
    """A server that says the same to whatever it is asked."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    with suppress(OSError), connection:
                        one = context.wrap_socket(connection, server_side=True) if context else connection
                        one.recv(4096)
                        one.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
    thread.join()


@contextmanager
def grpc_server() -> Iterator[str]:
    server = grpc.server(ThreadPoolExecutor(1))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(None)


@pytest.fixture(scope="module")
def tls() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("localhost").configure_cert(context)
    return context


@pytest.mark.parametrize(
    ("answer", "protocol", "words"),
    [
        (HTTP % b"200 OK", "grpc", "speaks HTTP, not gRPC: give --protocol http, or the other port"),
        (HTTP % b"400 Bad Request", "http", "it is still loading"),
        (HTTP % b"200 OK", "http", "accepts no requests"),
        (b"220 mail.example.org\r\n", "grpc", "not a Triton server"),
        (b"", "grpc", "not a Triton server"),
    ],
)
def test_what_listens_there_is_known_by_its_response(answer: bytes, protocol: str, words: str) -> None:
    with listening(answer) as url:
        assert words in str(explain(url, protocol, tls=False))


def test_a_grpc_port_is_distinguished_from_an_http_port() -> None:
    with grpc_server() as url:
        assert "speaks gRPC, not HTTP: give --protocol grpc" in str(explain(url, "http", tls=False))
        assert "ocrvl probe" in str(explain(url, "grpc", tls=False))


def test_a_server_with_tls_is_distinguished_from_one_without(tls: ssl.SSLContext) -> None:
    with listening(b"", tls) as url:
        assert "requires TLS: give --tls, or --ca" in str(explain(url, "grpc", tls=False))
        assert "no connection came about" in str(explain(url, "grpc", tls=True))
    with grpc_server() as url:
        assert "does not speak TLS" in str(explain(url, "grpc", tls=True))


def test_a_server_that_requires_a_certificate_speaks_tls_as_well(tls: ssl.SSLContext) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority = trustme.CA()
    authority.issue_cert("localhost").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    with listening(b"", context) as url:
        assert "--certificate and --key" in str(explain(url, "grpc", tls=True))


@pytest.mark.parametrize(
    ("url", "words"),
    [("no-such-host.invalid:8001", "no-such-host.invalid is not known"), ("127.0.0.1:9", "nothing listens there")],
)
def test_an_unknown_host_is_distinguished_from_a_closed_port(url: str, words: str) -> None:
    assert words in str(explain(url, "grpc", tls=False))
