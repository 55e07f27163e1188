"""What HTTP's two transports share: what calls carry, what errors mean."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from ocrvl_client._errors import OcrvlError
from ocrvl_client._messages import Request
from ocrvl_client._transports.endpoint import Endpoint
from ocrvl_client._transports.errors import (
    connection_lost_error,
    error_from_triton,
    no_http_server_error,
    timeout_error,
    tls_error,
)
from ocrvl_client._transports.protocol import ServerMetadata
from ocrvl_client._transports.tritonclient_calls import infer_arguments

Errors = tuple[type[Exception], ...]


class HttpBase:
    """One server over HTTP; subclasses make the calls, with threads or with asyncio, and name their library's errors.

    `library_errors` are all that it raises for a connection, `tls_errors` and `connect_errors` some of them.
    """

    library_errors: ClassVar[Errors]
    tls_errors: ClassVar[Errors]
    connect_errors: ClassVar[Errors]

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    @contextmanager
    def _errors(self, timeout: float) -> Iterator[None]:
        """Raises errors within the block as `OcrvlError`; `timeout` in seconds is the call's."""
        try:
            yield
        except InferenceServerException as error:
            raise error_from_triton(error) from error
        except self.library_errors as error:
            raise self._connection_error(error, timeout) from error

    def _connection_error(self, error: Exception, timeout: float) -> OcrvlError:
        url = self._endpoint.url
        if isinstance(error, TimeoutError):
            return timeout_error(url, timeout)
        if isinstance(error, self.tls_errors):
            return tls_error(url, error)
        if isinstance(error, self.connect_errors):
            return no_http_server_error(url, error)
        return connection_lost_error(url, error)

    def _infer_arguments(self, request: Request) -> dict[str, Any]:
        return infer_arguments(triton, request, self._endpoint)

    @property
    def _headers(self) -> dict[str, str]:
        # tritonclient writes into them
        return dict(self._endpoint.headers)

    @property
    def _stream_headers(self) -> dict[str, str]:
        return {"Content-Type": "application/json", **self._endpoint.headers}


def decode_metadata(response: Any) -> ServerMetadata:
    """The server metadata of Triton's HTTP endpoint, as JSON."""
    return ServerMetadata(response["name"], response["version"], tuple(response["extensions"]))
