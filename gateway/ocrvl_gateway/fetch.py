"""Images and files by their URL: from listed hosts alone, and never from a private network.

The address that a name resolves to is checked where the connection is made, so a name that resolves differently between
check and use gains nothing; each redirect is checked as the first URL is.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Collection, Sequence
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

from ocrvl_gateway.errors import BadRequest, ContentTooLarge

_MAX_REDIRECTS: Final = 3
_TIMEOUT: Final = 30.0
_CHUNK_BYTES: Final = 64 * 1024


_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
"""Holds an address of IPv4 in its last 32 bits; in networks of IPv6 alone all of IPv4 is reached so (RFC 6052)."""

_NOT_PUBLIC: Final = tuple(
    map(
        ipaddress.ip_network,
        (
            "::/96",  # IPv4-compatible (RFC 4291)
            "::ffff:0:0:0/96",  # IPv4-translated (RFC 2765)
            "64:ff9b:1::/48",  # NAT64 of a network's own (RFC 8215)
            "2001::/32",  # Teredo (RFC 4380)
            "2002::/16",  # 6to4 (RFC 3056)
            "3fff::/20",  # documentation (RFC 9637)
            "fec0::/10",  # site-local (RFC 3879)
            "192.0.0.0/24",  # IETF protocols (RFC 6890)
            "192.88.99.0/24",  # 6to4's relays (RFC 7526)
        ),
    )
)
"""Networks that lead into another, or nowhere, and that `ipaddress` may call global."""


def is_public(address: str) -> bool:
    """Whether an address is one of the open network; one that stands for an address of IPv4 is judged by that.

    >>> [is_public(address) for address in ("93.184.216.34", "10.0.0.1", "127.0.0.1", "::1", "169.254.169.254")]
    [True, False, False, False, False]
    >>> [is_public(address) for address in ("2606:4700::1111", "64:ff9b::808:808", "64:ff9b::7f00:1", "fec0::1")]
    [True, True, False, False]
    """
    parsed = ipaddress.ip_address(address)
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.scope_id:
            return False
        if parsed in _NAT64:
            parsed = ipaddress.IPv4Address(int(parsed) & 0xFFFFFFFF)
        elif parsed.ipv4_mapped:
            parsed = parsed.ipv4_mapped
    if any(parsed in network for network in _NOT_PUBLIC):
        return False
    return parsed.is_global and not parsed.is_multicast and not parsed.is_reserved


class _CheckingResolver(AbstractResolver):
    def __init__(self, resolver: AbstractResolver, allows: Callable[[str], bool]) -> None:
        self._resolver = resolver
        self._allows = allows

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        if not all(self._allows(result["host"]) for result in found):
            raise BadRequest(f"{host} resolves to a private address")
        return found

    async def close(self) -> None:
        await self._resolver.close()


class Fetcher:
    """Fetches from `hosts` (`*.example.com` is all below it) over http and https, from `ports` alone.

    `allows` says of an address whether it may be connected to, `resolver` finds the addresses of a name.
    """

    def __init__(
        self,
        hosts: Sequence[str],
        max_bytes: int,
        *,
        allows: Callable[[str], bool] = is_public,
        resolver: AbstractResolver | None = None,
        ports: Collection[int] = (80, 443),
    ) -> None:
        self._hosts = tuple(hosts)
        self._max_bytes = max_bytes
        self._allows = allows
        self._resolver = resolver
        self._ports = ports
        self._session: aiohttp.ClientSession | None = None

    async def fetch(self, url: str, param: str) -> bytes:
        """The bytes at a URL; `param` is the field that holds it. Raises `Refusal`."""
        try:
            for _ in range(_MAX_REDIRECTS + 1):
                self._check(url, param)
                async with self._client().get(url, allow_redirects=False) as response:
                    if response.status in (301, 302, 303, 307, 308) and "Location" in response.headers:
                        url = urljoin(url, response.headers["Location"])
                        continue
                    return await self._read(response, param)
        except BadRequest as refusal:
            raise BadRequest(refusal.message, param=param) from None
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
            raise BadRequest(
                f"{param}: {url} cannot be fetched ({error or type(error).__name__})", param=param
            ) from None
        raise BadRequest(f"{param}: more than {_MAX_REDIRECTS} redirects", param=param)

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    def _check(self, url: str, param: str) -> None:
        if not self._hosts:
            raise BadRequest(f"{param}: URLs are not fetched here, send the file itself as a data URL or base64")
        parts = urlsplit(url)
        host = (parts.hostname or "").lower()
        if parts.scheme not in ("http", "https"):
            raise BadRequest(f"{param}: expected http or https")
        if not any(host.endswith(known[1:]) if known.startswith("*.") else host == known for known in self._hosts):
            raise BadRequest(f"{param}: {host or url!r} is not on the list of hosts to fetch from")
        if parts.port is not None and parts.port not in self._ports:
            raise BadRequest(f"{param}: only the ports {' and '.join(map(str, self._ports))} are fetched from")
        # a name goes through the resolver, an address does not
        if host.replace(".", "").isdecimal() or ":" in host:
            raise BadRequest(f"{param}: expected the name of a host, not an IP address")

    async def _read(self, response: aiohttp.ClientResponse, param: str) -> bytes:
        if response.status != 200:
            raise BadRequest(f"{param}: {response.url} answered with {response.status}")
        data = bytearray()
        async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
            data += chunk
            if len(data) > self._max_bytes:
                raise ContentTooLarge(f"{param}: the file has more than {self._max_bytes} bytes", param=param)
        return bytes(data)

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            resolver: Any = _CheckingResolver(self._resolver or ThreadedResolver(), self._allows)
            connector = aiohttp.TCPConnector(resolver=resolver, use_dns_cache=False)
            self._session = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=_TIMEOUT),
                auto_decompress=False,
                trust_env=False,
            )
        return self._session
