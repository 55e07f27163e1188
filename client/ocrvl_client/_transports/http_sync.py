"""HTTP for threads."""

from __future__ import annotations

import socket
import ssl
import threading
import weakref
from collections.abc import Callable, Generator
from contextlib import suppress
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any

import gevent
import gevent.ssl
import tritonclient.http as triton

from ocrvl.wire import Tensor
from ocrvl_client._errors import OcrvlError
from ocrvl_client._messages import Array, Request
from ocrvl_client._transports.endpoint import Endpoint
from ocrvl_client._transports.generate import decode_event, decode_refusal, encode_body, path_of
from ocrvl_client._transports.http_base import HttpBase, decode_metadata
from ocrvl_client._transports.protocol import ServerMetadata
from ocrvl_client._transports.tritonclient_calls import decode_outputs


class HttpTransport(HttpBase):
    """HTTP with binary tensors; streams by server-sent events. Each thread has a connection of its own.

    tritonclient's HTTP client belongs to the thread that made it.
    """

    library_errors = (OSError, HTTPException)
    tls_errors = (ssl.SSLError,)
    connect_errors = (ConnectionRefusedError, socket.gaierror)

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__(endpoint)
        self._of_thread = threading.local()
        self._clients: weakref.WeakSet[Any] = weakref.WeakSet()
        self._lock = threading.Lock()

    def infer(self, request: Request, timeout: float) -> dict[Tensor, Array]:
        result = self._call(lambda client: client.infer(**self._infer_arguments(request)), timeout)
        return decode_outputs(request, result)

    def stream(self, request: Request, timeout: float) -> Generator[dict[Tensor, Array], None, None]:
        connection = self._connect(timeout)
        try:
            with self._errors(timeout):
                connection.request("POST", path_of(request.model), encode_body(request), self._stream_headers)
                response = connection.getresponse()
                if response.status != 200:
                    raise decode_refusal(response.status, response.read())
                for line in response:
                    if answer := decode_event(line):
                        yield answer
        finally:
            connection.close()

    def register(self, name: str, key: str, size: int) -> None:
        headers = self._endpoint.shared_memory_headers
        self._call(
            lambda client: client.register_system_shared_memory(name, key, size, headers=headers),
            self._endpoint.timeout,
        )

    def unregister(self, name: str, timeout: float) -> None:
        headers = self._endpoint.shared_memory_headers
        self._call(lambda client: client.unregister_system_shared_memory(name, headers=headers), timeout)

    def is_live(self) -> bool:
        return self._check(lambda client: client.is_server_live(headers=self._headers))

    def is_ready(self) -> bool:
        return self._check(lambda client: client.is_server_ready(headers=self._headers))

    def metadata(self) -> ServerMetadata:
        call = self._call(lambda client: client.get_server_metadata(headers=self._headers), self._endpoint.timeout)
        return decode_metadata(call)

    def close(self) -> None:
        with self._lock:
            clients = list(self._clients)
        for client in clients:
            # one that another thread still uses ends with that thread
            with suppress(Exception):
                client.close()

    def _check(self, call: Callable[[Any], Any]) -> bool:
        try:
            return bool(self._call(call, self._endpoint.timeout))
        except OcrvlError:
            return False

    def _call(self, call: Callable[[Any], Any], timeout: float) -> Any:
        with self._errors(timeout), gevent.Timeout(timeout, TimeoutError):
            return call(self._client())

    def _connect(self, timeout: float) -> HTTPConnection:
        (host, port), tls = self._endpoint.address, self._endpoint.tls
        if tls is None:
            return HTTPConnection(host, port, timeout=timeout)
        return HTTPSConnection(host, port, timeout=timeout, context=tls.context())

    def _client(self) -> Any:
        client = getattr(self._of_thread, "client", None)
        if client is None:
            client = triton.InferenceServerClient(**self._client_arguments())
            self._of_thread.client = client
            with self._lock:
                self._clients.add(client)
        return client

    def _client_arguments(self) -> dict[str, Any]:
        timeout = self._endpoint.timeout
        arguments: dict[str, Any] = {
            "url": self._endpoint.url,
            "connection_timeout": timeout,
            "network_timeout": timeout,
        }
        if tls := self._endpoint.tls:

            def context() -> Any:
                made = gevent.ssl.create_default_context(cafile=tls.ca)
                if tls.certificate is not None:
                    made.load_cert_chain(tls.certificate, tls.key)
                return made

            arguments |= {"ssl": True, "ssl_context_factory": context}
        return arguments
