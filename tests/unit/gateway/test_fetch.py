"""Images by their address: only from listed hosts, never from a private network, whatever a redirect says."""

from __future__ import annotations

import asyncio
import http.server
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from ocrvl_gateway.errors import BadRequest, ContentTooLarge
from ocrvl_gateway.fetch import Fetcher, is_public
from tests.support.gateways import GatewayClient, ScriptedReader, chat, make_app

HOSTS = ["files.example.com", "*.scans.example.com"]


class Here(AbstractResolver):
    """Every name leads to this machine."""

    async def resolve(self, host: str, port: int = 0, family: Any = socket.AF_INET) -> list[ResolveResult]:
        return [ResolveResult(hostname=host, host="127.0.0.1", port=port, family=socket.AF_INET, proto=0, flags=0)]

    async def close(self) -> None:
        pass


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        target = {"/away": "http://evil.example.org/x", "/to": "/a.png", "/round": "/round"}.get(self.path)
        self.send_response(302 if target else 404 if self.path == "/missing" else 200)
        if target:
            self.send_header("Location", target)
        self.end_headers()
        if not target:
            self.wfile.write(b"an image" if self.path == "/a.png" else bytes(5000))

    def log_message(self, *arguments: Any) -> None:
        pass


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def fetch(url: str, port: int, *, anywhere: bool = True) -> bytes:
    async def run() -> bytes:
        allows = (lambda _: True) if anywhere else is_public
        fetcher = Fetcher(HOSTS, 1000, allows=allows, resolver=Here(), ports=(80, port))
        try:
            return await fetcher.fetch(url, "file")
        finally:
            await fetcher.close()

    return asyncio.run(run())


@pytest.mark.parametrize("path", ["a.png", "to"])
@pytest.mark.parametrize("host", ["files.example.com", "FILES.example.com", "old.scans.example.com"])
def test_a_listed_host_is_fetched_from_and_its_redirects_followed_on_the_list(host: str, path: str, port: int) -> None:
    assert fetch(f"http://{host}:{port}/{path}", port) == b"an image"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://evil.example.org:{port}/a.png", "not on the list"),
        ("http://scans.example.com:{port}/a.png", "not on the list"),
        ("http://files.example.com.evil.org:{port}/a.png", "not on the list"),
        ("http://files.example.com@evil.example.org:{port}/a.png", "not on the list"),
        ("http://files.example.com:{port}/away", "not on the list"),
        ("http://files.example.com:{port}/round", "redirects"),
        ("http://files.example.com:{port}/missing", "404"),
        ("http://files.example.com:22/a.png", "only the ports"),
        ("http://127.0.0.1:{port}/a.png", "not on the list"),
        ("ftp://files.example.com/a.png", "http or https"),
        ("http://[::1", "cannot be fetched"),
    ],
)
def test_everything_else_is_refused_with_the_field_named(url: str, words: str, port: int) -> None:
    with pytest.raises(BadRequest, match=words) as refused:
        fetch(url.format(port=port), port)
    assert refused.value.param == "file"


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.1.2.3", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1", "240.0.0.1", "192.0.0.8"),
        *("::", "::1", "::127.0.0.1", "::8.8.8.8", "::ffff:10.0.0.1", "::ffff:0:10.0.0.1", "fe80::1", "fe80::1%eth0"),
        *("64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::808:808", "2002:7f00:1::", "2002:808:808::1", "ff02::1"),
        *("2001:0:808:808::1", "fec0::1", "fc00::1", "2001:db8::1", "3fff::1", "192.88.99.1"),
    ],
)
def test_addresses_that_are_not_of_the_public_internet_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_public_addresses_are_public_in_every_form(address: str) -> None:
    assert is_public(address)


def test_a_listed_name_that_resolves_to_a_private_address_is_refused(port: int) -> None:
    with pytest.raises(BadRequest, match="private address"):
        fetch(f"http://files.example.com:{port}/a.png", port, anywhere=False)


def test_more_bytes_than_are_taken_are_not_read(port: int) -> None:
    with pytest.raises(ContentTooLarge, match="1000 bytes"):
        fetch(f"http://files.example.com:{port}/long", port)


def test_a_url_that_cannot_be_reached_is_refused() -> None:
    with pytest.raises(BadRequest, match="cannot be fetched"):
        fetch("http://files.example.com:80/a.png", 80)


def test_an_image_by_its_url_reaches_the_server_where_hosts_are_listed(port: int) -> None:
    reader = ScriptedReader()
    fetcher = Fetcher(HOSTS, 1000, allows=lambda _: True, resolver=Here(), ports=(port,))
    client = GatewayClient(make_app(reader, fetcher))
    answer = client.post("/v1/chat/completions", json=chat(url=f"http://files.example.com:{port}/a.png"))
    assert answer.status_code == 200, answer.text
    assert reader.requests[0][0] == b"an image"
