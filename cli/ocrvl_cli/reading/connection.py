"""The server: what of its client is used, and why it cannot be reached."""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, Unpack

from ocrvl.address import split_address
from ocrvl_cli.reading.errors import ServerNotFound

if TYPE_CHECKING:
    from ocrvl.wire import Task
    from ocrvl_client import Document, DocumentOptions, Page, Reading, ReadOptions, Receipt, ReceiptOptions

_SECONDS = 3.0
"""For each of the few questions by which a server's absence is explained."""


class ReadingClient(Protocol):
    """What the command needs of `ocrvl_client.AsyncClient`."""

    async def read(self, image: bytes, *, task: Task, **options: Unpack[ReadOptions]) -> Reading:
        """Read an image as a whole."""

    def document_stream(self, file: bytes, **options: Unpack[DocumentOptions]) -> AsyncGenerator[Page | Document, None]:
        """Read a document page by page."""

    async def receipt(self, image: bytes, **options: Unpack[ReceiptOptions]) -> Receipt:
        """Find the fields of a receipt."""

    async def is_ready(self) -> bool:
        """Whether requests can be taken."""


@dataclass(frozen=True)
class Server:
    """How to reach the server: host and port of this protocol, and what TLS it wants, if any."""

    url: str
    protocol: Literal["grpc", "http"] = "grpc"
    timeout: float = 300.0
    headers: Mapping[str, str] = field(default_factory=dict)
    tls: bool = False
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    def connect(self) -> AbstractAsyncContextManager[ReadingClient]:
        """A client; closing it cancels what is in flight. Needs an event loop."""
        # it brings NumPy and gRPC along, which checking the options does not need
        from ocrvl_client import AsyncClient, Tls

        tls = Tls(ca=self.ca, certificate=self.certificate, key=self.key) if self.tls else None
        return AsyncClient(self.url, protocol=self.protocol, timeout=self.timeout, tls=tls, headers=self.headers)


def explain(url: str, protocol: str, *, tls: bool) -> ServerNotFound:
    """Why no request gets through to this server, found out by asking its port in other ways; takes seconds at most."""
    host, port = split_address(url)
    usual = {"grpc": 8001, "http": 8000}
    other = "http" if protocol == "grpc" else "grpc"
    try:
        heard = _hear(host, port)
    except socket.gaierror as error:
        return ServerNotFound(f"the host {host} is not known ({error.strerror}): look at --url")
    except ConnectionRefusedError:
        return ServerNotFound(
            f"no server at {url}: nothing listens there, or it is still loading. Start one with: ocrvl serve; "
            "wait for one that loads with: --wait 120"
        )
    except OSError as error:
        return ServerNotFound(
            f"no server at {url}: it cannot be reached ({error or 'no answer'}); look at --url and firewalls"
        )
    speaks_tls = _speaks_tls(host, port)
    if speaks_tls and not tls:
        return ServerNotFound(f"{url} requires TLS: give --tls, or --ca with the certificate of its authority")
    if tls and not speaks_tls:
        return ServerNotFound(f"{url} does not speak TLS: leave out --tls, --ca, --certificate and --key")
    if tls:
        return ServerNotFound(
            f"{url} speaks TLS, but no connection came about: --ca must have signed its certificate, which must name "
            f"{host}, and a server that requires a client certificate needs --certificate and --key"
        )
    speaks = "http" if heard.startswith(b"HTTP/1") else "grpc" if b"\x00" in heard else ""
    if speaks == other:
        return ServerNotFound(
            f"{url} speaks {_NAMES[speaks]}, not {_NAMES[protocol]}: give --protocol {speaks}, or the other port "
            f"(usually {usual[protocol]})"
        )
    if not speaks:
        return ServerNotFound(f"something listens at {url}, but not a Triton server: look at --url")
    if heard.startswith(b"HTTP/1") and b" 200 " not in heard.partition(b"\r\n")[0]:
        return ServerNotFound(
            f"the server at {url} is reachable, but not ready: it is still loading. Wait with: --wait 120"
        )
    return ServerNotFound(
        f"the server at {url} is reachable, but accepts no requests; `ocrvl probe` says more about it"
    )


_NAMES = {"grpc": "gRPC", "http": "HTTP"}


def _hear(host: str, port: int) -> bytes:
    """The beginning of what a port answers to a question in HTTP/1.1."""
    with socket.create_connection((host, port), timeout=_SECONDS) as connection:
        try:
            connection.sendall(f"GET /v2/health/ready HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
            return connection.recv(4096)
        except OSError:
            return b""


def _speaks_tls(host: str, port: int) -> bool:
    context = ssl.create_default_context()
    # only whether it does is checked, and no data is sent
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2", "http/1.1"])
    try:
        with socket.create_connection((host, port), timeout=_SECONDS) as connection:
            context.wrap_socket(connection, server_hostname=host).close()
    except ssl.SSLError as error:
        # a refusal in TLS's own words is TLS as well: the server asks for a certificate, for example
        return "ALERT" in (error.reason or "")
    except OSError:
        return False
    return True
