"""HTTP for threads."""

from __future__ import annotations

import socket
import ssl
import threading
import weakref
from collections.abc import Generator
from contextlib import suppress
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any

import gevent
import gevent.ssl
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from ocrvl.address import split_address
from ocrvl.wire import Tensor
from ocrvl_client._errors import OcrvlError
from ocrvl_client._messages import Array, Request, ServerMetadata
from ocrvl_client._transports.generate import decode_event, decode_refusal, encode_body, path_of
from ocrvl_client._transports.protocol import Endpoint
from ocrvl_client._transports.tensors import ask_outputs, fill_inputs, read_outputs
from ocrvl_client._transports.translate import error_from_triton, lost, no_answer, no_http_server, tls_mismatch


class HttpTransport:
    """HTTP with binary tensors; streams by server-sent events. Each thread has a connection of its own.

    tritonclient's HTTP client belongs to the thread that made it.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._of_thread = threading.local()
        self._clients: weakref.WeakSet[Any] = weakref.WeakSet()
        self._lock = threading.Lock()

    def infer(self, request: Request, timeout: float) -> dict[Tensor, Array]:
        def ask(client: Any) -> Any:
            return client.infer(
                request.model.value,
                fill_inputs(triton.InferInput, request),
                outputs=ask_outputs(triton.InferRequestedOutput, request),
                request_id=request.id,
                headers=dict(self._endpoint.headers),
            )

        return read_outputs(request, self._call(ask, timeout))

    def stream(self, request: Request, timeout: float) -> Generator[dict[Tensor, Array], None, None]:
        host, port = split_address(self._endpoint.url)
        tls = self._endpoint.tls
        connection = (
            HTTPConnection(host, port, timeout=timeout)
            if tls is None
            else HTTPSConnection(host, port, timeout=timeout, context=tls.context())
        )
        try:
            headers = {"Content-Type": "application/json", **self._endpoint.headers}
            connection.request("POST", path_of(request.model), encode_body(request), headers)
            response = connection.getresponse()
            if response.status != 200:
                raise decode_refusal(response.status, response.read())
            for line in response:
                if answer := decode_event(line):
                    yield answer
        except (OSError, HTTPException) as error:
            raise self._translate(error, timeout) from error
        finally:
            connection.close()

    def register(self, name: str, key: str, size: int) -> None:
        self._call(
            lambda client: client.register_system_shared_memory(
                name, key, size, headers=self._endpoint.shared_memory_headers
            ),
            self._endpoint.timeout,
        )

    def unregister(self, name: str, timeout: float) -> None:
        self._call(
            lambda client: client.unregister_system_shared_memory(name, headers=self._endpoint.shared_memory_headers),
            timeout,
        )

    def is_live(self) -> bool:
        return self._ask(lambda client: client.is_server_live(headers=dict(self._endpoint.headers)))

    def is_ready(self) -> bool:
        return self._ask(lambda client: client.is_server_ready(headers=dict(self._endpoint.headers)))

    def metadata(self) -> ServerMetadata:
        told = self._call(
            lambda client: client.get_server_metadata(headers=dict(self._endpoint.headers)), self._endpoint.timeout
        )
        return ServerMetadata(told["name"], told["version"], tuple(told["extensions"]))

    def close(self) -> None:
        with self._lock:
            clients = list(self._clients)
        for client in clients:
            # one that another thread still uses ends with that thread
            with suppress(Exception):
                client.close()

    def _ask(self, question: Any) -> bool:
        try:
            return bool(self._call(question, self._endpoint.timeout))
        except OcrvlError:
            return False

    def _call(self, ask: Any, timeout: float) -> Any:
        try:
            with gevent.Timeout(timeout, TimeoutError):
                return ask(self._client())
        except InferenceServerException as error:
            raise error_from_triton(error) from error
        except (OSError, HTTPException) as error:
            raise self._translate(error, timeout) from error

    def _client(self) -> Any:
        client = getattr(self._of_thread, "client", None)
        if client is None:
            client = triton.InferenceServerClient(**self._arguments())
            self._of_thread.client = client
            with self._lock:
                self._clients.add(client)
        return client

    def _arguments(self) -> dict[str, Any]:
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

    def _translate(self, error: Exception, timeout: float) -> OcrvlError:
        url = self._endpoint.url
        if isinstance(error, TimeoutError):
            return no_answer(url, timeout)
        if isinstance(error, ssl.SSLError):
            return tls_mismatch(url, error)
        if isinstance(error, ConnectionRefusedError | socket.gaierror):
            return no_http_server(url, error)
        return lost(url, error)
