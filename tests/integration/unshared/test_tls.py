"""TLS with certificates of a real authority: who may connect, and that requests are answered."""

from __future__ import annotations

import asyncio
import socket
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import tritonclient.grpc as triton_grpc
import trustme
from tritonclient.utils import InferenceServerException

from ocrvl.launcher.server import TritonServer
from ocrvl.wire import Model, Tensor
from ocrvl_client import AsyncClient, Client, ProtocolName, ServerUnavailable, Tls
from perf.harness.tensors import bytes_tensor
from tests.support.small import small_server


class Certificates:
    """An authority, a server's and a client's certificate of it, and a client's of another, as PEM files."""

    def __init__(self, folder: Path) -> None:
        ours, other = trustme.CA(), trustme.CA()
        self.authority = folder / "ca.pem"
        self.other_authority = folder / "other-ca.pem"
        ours.cert_pem.write_to_path(str(self.authority))
        other.cert_pem.write_to_path(str(self.other_authority))
        self.server = self._write(folder / "server", ours.issue_cert("localhost", "127.0.0.1"))
        self.client = self._write(folder / "client", ours.issue_cert("reader@example.org"))
        self.stranger = self._write(folder / "stranger", other.issue_cert("reader@example.org"))

    @staticmethod
    def _write(base: Path, leaf: trustme.LeafCert) -> tuple[Path, Path]:
        """The files of the key and of the chain."""
        key, chain = base.with_suffix(".key"), base.with_suffix(".pem")
        leaf.private_key_pem.write_to_path(str(key))
        leaf.cert_chain_pems[0].write_to_path(str(chain))
        return key, chain


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


def secured(certificates: Certificates, **more: str) -> AbstractContextManager[TritonServer]:
    key, chain = certificates.server
    options = {"use-ssl": "true", "server-cert": chain, "server-key": key, "root-cert": certificates.authority, **more}
    return small_server(extra_arguments=tuple(f"--grpc-{name}={value}" for name, value in options.items()))


@pytest.fixture(scope="module")
def tls_server(certificates: Certificates) -> Iterator[TritonServer]:
    """Shows its certificate."""
    with secured(certificates) as running:
        yield running


@pytest.fixture(scope="module")
def mutual_server(certificates: Certificates) -> Iterator[TritonServer]:
    """Shows its certificate, and wants one of its authority."""
    with secured(certificates, **{"use-ssl-mutual": "true"}) as running:
        yield running


def cancel(server: TritonServer, **tls: Any) -> int:
    """Cancel a token that nobody uses: a real request, whose answer is 0."""
    wanted = triton_grpc.InferInput(Tensor.CANCEL_TOKEN.value, [1], "BYTES")
    wanted.set_data_from_numpy(bytes_tensor(b"0123456789abcdef"))
    with triton_grpc.InferenceServerClient(f"localhost:{server.grpc_port}", **tls) as client:
        answer = client.infer(Model.CANCEL.value, [wanted], client_timeout=10).as_numpy(Tensor.CANCELLED.value)
        return int(answer.item())


def trusting(authority: Path, certificate: tuple[Path, Path] | None = None) -> dict[str, Any]:
    """tritonclient's arguments for a client that trusts `authority` and shows `certificate`."""
    arguments = {"ssl": True, "root_certificates": str(authority)}
    if certificate:
        key, chain = certificate
        arguments |= {"private_key": str(key), "certificate_chain": str(chain)}
    return arguments


def test_a_client_that_trusts_the_authority_is_served(tls_server: TritonServer, certificates: Certificates) -> None:
    assert cancel(tls_server, **trusting(certificates.authority)) == 0


def test_a_client_with_a_certificate_is_served(mutual_server: TritonServer, certificates: Certificates) -> None:
    assert cancel(mutual_server, **trusting(certificates.authority, certificates.client)) == 0


def test_a_client_without_a_certificate_is_refused(mutual_server: TritonServer, certificates: Certificates) -> None:
    with pytest.raises(InferenceServerException, match="UNAVAILABLE"):
        cancel(mutual_server, **trusting(certificates.authority))


def test_a_certificate_of_another_authority_is_refused(mutual_server: TritonServer, certificates: Certificates) -> None:
    with pytest.raises(InferenceServerException, match="UNAVAILABLE"):
        cancel(mutual_server, **trusting(certificates.authority, certificates.stranger))


def test_a_client_refuses_a_server_of_another_authority(tls_server: TritonServer, certificates: Certificates) -> None:
    with pytest.raises(InferenceServerException, match="UNAVAILABLE"):
        cancel(tls_server, **trusting(certificates.other_authority))


def test_a_client_that_speaks_plainly_is_not_served(tls_server: TritonServer) -> None:
    with pytest.raises(InferenceServerException, match="UNAVAILABLE"):
        cancel(tls_server)


Kind = type[Client] | type[AsyncClient]
both_clients = pytest.mark.parametrize("kind", [Client, AsyncClient], ids=["threads", "asyncio"])


def cancel_by_client(kind: Kind, url: str, protocol: ProtocolName, tls: Tls | None, headers: dict[str, str]) -> int:
    """The same through the SDK."""
    token = "0123456789abcdef"
    if kind is Client:
        with Client(url, protocol=protocol, tls=tls, headers=headers, retry=None, timeout=10) as client:
            return client.cancel(token)

    async def ask() -> int:
        async with AsyncClient(url, protocol=protocol, tls=tls, headers=headers, retry=None, timeout=10) as client:
            return await client.cancel(token)

    return asyncio.run(ask())


@both_clients
def test_the_sdk_shows_its_certificate_over_grpc(
    kind: Kind, mutual_server: TritonServer, certificates: Certificates
) -> None:
    key, chain = certificates.client
    url = f"localhost:{mutual_server.grpc_port}"
    assert cancel_by_client(kind, url, "grpc", Tls(certificates.authority, chain, key), {}) == 0
    with pytest.raises(ServerUnavailable):
        cancel_by_client(kind, url, "grpc", Tls(certificates.authority), {})
    with pytest.raises(ServerUnavailable):
        cancel_by_client(kind, url, "grpc", None, {})


@contextmanager
def behind_tls(port: int, certificates: Certificates) -> Iterator[tuple[str, list[bytes]]]:
    """A proxy in front of Triton's HTTP, which has no TLS of its own; its address, and the heads that passed."""
    key, chain = certificates.server
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(chain, key)
    heads: list[bytes] = []

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            try:
                caller = context.wrap_socket(self.request, server_side=True)
            except OSError:
                return
            with caller, socket.create_connection(("127.0.0.1", port)) as server:
                back = threading.Thread(target=pump, args=(server, caller, []))
                back.start()
                pump(caller, server, heads)
                back.join()

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as proxy:
        proxy.daemon_threads = True
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        try:
            yield f"localhost:{proxy.server_address[1]}", heads
        finally:
            proxy.shutdown()


def pump(source: socket.socket, target: socket.socket, seen: list[bytes]) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            seen.append(data)
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


@both_clients
def test_the_sdk_speaks_tls_and_sends_headers_over_http(
    kind: Kind, tls_server: TritonServer, certificates: Certificates
) -> None:
    with behind_tls(tls_server.http_port, certificates) as (url, heads):
        headers = {"Authorization": "Bearer of-mine"}
        assert cancel_by_client(kind, url, "http", Tls(certificates.authority), headers) == 0
        assert b"bearer of-mine" in b"".join(heads).lower()
        with pytest.raises(ServerUnavailable, match="no encrypted connection"):
            cancel_by_client(kind, url, "http", Tls(certificates.other_authority), {})
